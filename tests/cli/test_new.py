"""`cnn-jax new` and `--version`."""

import tomllib
from pathlib import Path

import pytest

from cnn_jax.cli import main
from cnn_jax.config import load_experiment
from cnn_jax.runs import trainer
from cnn_jax.runs.events import Finished


def test_the_new_file_trains_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "my try.py"]) == 0
    assert "cnn-jax train 'my try.py'\n" in capsys.readouterr().out
    text = (tmp_path / "my try.py").read_text()
    assert "cnn-jax train 'my try.py'\n" in text and "FILE" not in text
    monkeypatch.setattr(trainer, "run_events", lambda *_, **__: iter([Finished(None)]))  # `.ci/run` trains it in full
    trainer.train(load_experiment("my try.py"))
    assert (next(Path("runs").iterdir()) / "config.json").exists()


@pytest.mark.parametrize(
    ("file", "status", "message"),
    [
        ("there.py", 1, "`there.py` is there already, and stays as it is"),
        ("broken.py", 1, "`broken.py` is there already"),
        ("mine", 2, "must be a Python file, got mine; write `cnn-jax new mine.py`"),
        ("nowhere/mine.py", 1, "the folder `nowhere` is not there"),
    ],
)
def test_what_would_be_lost_or_cannot_be_trained_is_refused(tmp_path, monkeypatch, capsys, file, status, message):
    monkeypatch.chdir(tmp_path)
    Path("there.py").write_text("mine")
    Path("broken.py").symlink_to("gone.py")
    assert main(["new", file]) == status
    assert message in capsys.readouterr().err
    assert {p.name for p in tmp_path.iterdir()} == {"there.py", "broken.py"}
    assert Path("there.py").read_text() == "mine"


def test_the_version_is_that_of_the_package(capsys):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cnn-jax {project['version']}\n"
