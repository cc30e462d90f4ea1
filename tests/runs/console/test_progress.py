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
    with TrainProgress(3, 0, 3.0) as progress:
        for step in (1, 2, 3):
            progress.say("a line")
            progress.update(step)
            progress.report(step, "train", {"loss": 1.0})
            progress.report(step, "validation", {"loss": 1.0})


def test_markup_in_a_line_is_text(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr("sys.stderr", shown)
    with TrainProgress(3, 0, 3.0) as progress:
        progress.say("[/red] [bold]name[/bold]")
    assert shown.getvalue() == "[/red] [bold]name[/bold]\n"


def lines(monkeypatch, steps, epochs, start=0):
    """What a run prints where there is no terminal, and its steps."""
    shown = io.StringIO()
    monkeypatch.setattr("sys.stderr", shown)
    with TrainProgress(steps, start, epochs) as progress:
        for step in range(start + 1, steps + 1):
            progress.update(step)
            progress.report(step, "train", {"loss": 10.0 / step, "top1": 0.5, "time/images_per_s": 100.0})
            if step % 100 == 0:
                progress.report(step, "validation", {"loss": 2.0, "top1": 0.25})
        progress.report(steps, "test", {"loss": 3.0, "top1": 0.125})
    found = shown.getvalue().splitlines()
    return found, [int(line.partition("step ")[2].partition("/")[0]) for line in found]


@pytest.mark.parametrize(("epochs", "number"), [(60.0, 20), (20.4, 20), (15.0, 15), (10.0, 10), (1.0, 10)])
def test_without_a_terminal_a_run_is_ten_to_twenty_lines_one_an_epoch(monkeypatch, epochs, number):
    found, steps = lines(monkeypatch, 300, epochs)
    assert len(found) == number and steps == [round(i * 300 / number) for i in range(1, number + 1)]


def test_a_line_says_what_was_measured_last(monkeypatch):
    found, _ = lines(monkeypatch, 300, 15.0)
    assert found[0].startswith("step 20/300  train  loss 0.5000  top-1 50.00%  images/s 100  epoch 1/15  ")
    assert found[0].endswith(" s left") and "validation" not in found[0]
    assert "validation  loss 2.0000  top-1 25.00%" in found[4]
    assert found[-1].endswith("validation  loss 2.0000  top-1 25.00%  test  loss 3.0000  top-1 12.50%  epoch 15/15")


def test_a_run_that_goes_on_and_one_of_few_steps_have_the_lines_that_are_left(monkeypatch):
    assert lines(monkeypatch, 300, 15.0, start=250)[1] == [260, 280, 300]
    assert lines(monkeypatch, 3, 0.1)[1] == [1, 2, 3]
