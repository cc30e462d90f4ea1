"""`~` is the home of the user, and what is no place on this machine is refused with the key that it was given for."""

from pathlib import Path

import pytest

from cnn_jax.cli import main
from cnn_jax.config import load_experiment
from cnn_jax.data import data_root
from cnn_jax.paths import PathError, local_path
from cnn_jax.runs import trainer
from cnn_jax.runs.events import Finished


def test_home_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/runs/a", "--workdir") == tmp_path / "runs" / "a"
    assert data_root("~/data") == tmp_path / "data"


@pytest.mark.parametrize("path", ["runs/a", "/tmp/a~b", "a:b", "C:/a", "./gs:/x", "ü [1]"])
def test_other_paths_stay_as_they_are(path):
    assert local_path(path, "--workdir") == Path(path)


@pytest.mark.parametrize(
    "path", ["gs://bucket/r", Path("gs://bucket/r"), "s3://b", "https://host/x.png", "file:///tmp"]
)
def test_urls_are_refused(path):
    with pytest.raises(PathError, match=r"`--out` is .*, a URL; give a path of this machine"):
        local_path(path, "--out")


def test_what_is_no_utf8_is_refused_unless_it_is_only_read():
    path = "b\udce9"
    with pytest.raises(PathError, match=r"`RUN` is b'b\\xe9', which is no UTF-8"):
        local_path(path, "RUN")
    assert local_path(path, "IMAGE", utf8=False) == Path(path)


def test_no_home_is_told(monkeypatch):
    monkeypatch.setattr(Path, "expanduser", lambda _: (_ for _ in ()).throw(RuntimeError("Could not determine home.")))
    with pytest.raises(PathError, match=r"`data.root` is ~/a: Could not determine home.*\$HOME"):
        local_path("~/a", "data.root")


COMMANDS = [
    "new {u}",
    "train {e} --workdir {u}",
    "train {u}",
    "train {e} --data.root {u} --workdir w",
    "train {e} --data.name folder --data.folder {u} --workdir w",
    "train {e} --model.weights {u} --workdir w",
    "eval {u}",
    "predict {u} a.png",
    "diff {u} {u}",
    "weights export {u} a.safetensors",
    "export {u} a.zip",
    "weights import lenet5 {u} --data digits --out w",
    "weights import lenet5 a.safetensors --data digits --out {u}",
    "data prepare folder --source {u}",
    "data list --root {u}",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_a_url_before_any_work(lenet, capsys, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    assert main(command.format(e=lenet, u="gs://bucket/x").split()) == 2
    assert "a URL" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_run_lies_in_the_home(experiment, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(trainer, "run_events", lambda *_, **__: iter([Finished(None)]))
    trainer.train(load_experiment(experiment), "~/r")
    assert (tmp_path / "r" / "config.json").exists()
