"""What is shown is not the run: a standard error that is closed ends nothing."""

import io
import os

import pytest

from cnn_jax.runs.console.progress import TrainProgress


class Terminal(io.StringIO):
    """A terminal that has gone."""

    def isatty(self):
        return True

    def write(self, text):
        raise OSError(5, "Input/output error")


def closed_pipe():
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w", buffering=1)


def closed_file():
    file = io.StringIO()
    file.close()
    return file


@pytest.mark.parametrize("stream", [Terminal, closed_pipe, closed_file])
def test_a_closed_output_ends_no_training(monkeypatch, stream):
    monkeypatch.setattr("sys.stderr", stream())
    with TrainProgress(3, 0) as progress:
        for step in (1, 2, 3):
            progress.say("a line")
            progress.update(step)
            progress.report(step, "train", {"loss": 1.0})
            progress.report(step, "validation", {"loss": 1.0})


def test_markup_in_a_line_is_text(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr("sys.stderr", shown)
    with TrainProgress(3, 0) as progress:
        progress.say("[/red] [bold]name[/bold]")
    assert shown.getvalue() == "[/red] [bold]name[/bold]\n"
