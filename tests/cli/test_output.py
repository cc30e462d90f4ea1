"""Outputs that are closed, full or narrow in what they can show, and names that look like markup."""

import logging
import os
import subprocess
import sys

import pytest

import cnn_jax.cli as cli_room
from cnn_jax.cli.flags import print_figures
from cnn_jax.cli.output import console, explain
from cnn_jax.logs import untouched_logging


def cli(*words, **environment):
    """The command line in a process of its own, with these variables."""
    env = {k: v for k, v in (os.environ | environment).items() if v is not None}
    return subprocess.run([sys.executable, "-m", "cnn_jax", *words], capture_output=True, text=True, env=env)


def test_help_prints_on_an_output_of_ascii():
    done = cli("--help", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "train" in done.stdout


def test_help_needs_no_home():
    code = "import pwd\ndef none(_): raise KeyError\npwd.getpwuid = none\nfrom cnn_jax.cli import entry_point\n"
    code += "import sys; sys.argv = ['cnn-jax', 'models']; entry_point()"
    env = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert "lenet5" in done.stdout


def test_a_reader_that_leaves_decides_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        command = [sys.executable, "-m", "cnn_jax", "models"]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0
    assert not done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux's")
def test_figures_that_cannot_be_written_are_a_failure():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "cnn_jax", "models", "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_missing_platform_is_named_with_its_remedy():
    done = cli("bench", "lenet5", "--steps", "1", JAX_PLATFORMS="cuda")
    assert done.returncode == 1
    assert "JAX_PLATFORMS is cuda" in done.stderr and "jax[cuda13]" in done.stderr


def test_names_are_no_markup(capsys):
    from rich.table import Table

    table = Table("name")
    table.add_row("[red] [bold]cat :cat:")
    console().print(table)
    assert "[red] [bold]cat :cat:" in capsys.readouterr().out


def test_an_error_of_the_system_is_told_with_its_file():
    assert explain(PermissionError(13, "Permission denied", "runs/a")) == "`runs/a`: Permission denied."


@pytest.mark.slow  # as the one of `models`, above
def test_a_table_for_a_reader_that_has_gone_is_printed_all_the_same(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        command = [sys.executable, "-m", "cnn_jax", "summary", "lenet5"]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0
    assert not done.stderr


def test_closed_outputs_neither_stop_a_warning_nor_figures(monkeypatch):
    for name in ("stdout", "stderr"):
        stream = open(os.devnull, "w")  # noqa: SIM115
        stream.close()
        monkeypatch.setattr(sys, name, stream)
    cli_room._show_warning(UserWarning("unheard"))
    assert print_figures({"a": 1}, True, lambda: None) == 0
    assert print_figures({}, False, lambda: print("unseen")) == 0


@pytest.mark.parametrize("words", [["--debug", "models"], ["models", "--debug"]])
def test_debug_shows_where_wherever_it_stands(monkeypatch, capsys, words):
    def fail() -> int:
        """A command that fails."""
        raise OSError("no disk")

    monkeypatch.setitem(cli_room.COMMANDS, "models", fail)
    assert cli_room.main(words) == 1
    assert "Traceback" in capsys.readouterr().err
    assert cli_room.main(["models"]) == 1
    first, *where = capsys.readouterr().err.splitlines()
    assert first == "cnn-jax: no disk" and len(where) == 1 and where[0].endswith('raise OSError("no disk")')


def test_help_shows_the_options_that_stand_anywhere(capsys):
    assert cli_room.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "--debug" in out and "--return-memory" in out


def test_what_the_package_notes_is_said_in_the_command_lines_words(monkeypatch, capsys):
    def noting() -> int:
        """A command that notes something while TFDS or Orbax is open."""
        with untouched_logging():
            logging.getLogger("cnn_jax.data.sets.image_folder").warning("note: %d files are passed over", 3)
        return 0

    monkeypatch.setattr(logging.root, "handlers", [])  # as in a command's process; pytest has added its own
    monkeypatch.setitem(cli_room.COMMANDS, "models", noting)
    assert cli_room.main(["models"]) == 0
    assert capsys.readouterr().err == "cnn-jax: note: 3 files are passed over\n"


def test_an_error_in_ones_own_file_is_shown_with_its_line(tmp_path, capsys):
    network = "from flax import linen as nn\n\nclass Net(nn.Module):\n    num_classes: int\n\n    @nn.compact\n"
    network += "    def __call__(self, x, *, train):\n        return nn.rellu(x)\n\n"
    path = tmp_path / "mine.py"
    config = "from cnn_jax import Config, ModelConfig\n\ndef config():\n    return Config(model=ModelConfig(Net))\n"
    path.write_text(network + config)
    assert cli_room.main(["train", str(path), "--workdir", str(tmp_path / "r")]) != 0
    assert "\ncnn-jax:   mine.py, line 8: return nn.rellu(x)\n" in capsys.readouterr().err
    path.write_text("def config():\n    return 1 / 0\n")
    assert cli_room.main(["train", str(path)]) == 2
    err = capsys.readouterr().err
    assert "line 2: ZeroDivisionError" in err and len(err.splitlines()) == 1  # said already


def test_a_command_that_there_is_not_is_told_with_the_nearest(capsys):
    from cnn_jax.cli import main

    assert main(["trian", "digits.py"]) == 2
    assert "there is no command 'trian'. Did you mean `train`?" in capsys.readouterr().err
