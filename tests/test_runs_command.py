"""`cnn-jax runs` and `list_runs`, on folders written as training writes them, without training."""

import contextlib
import csv
import dataclasses
import fcntl
import io
import json
import os
import subprocess
import sys

import pytest

import cnn_jax
from cnn_jax.cli import main
from cnn_jax.config import Config, DataConfig, ModelConfig, TrainConfig
from cnn_jax.runs.console.signals import Stopped
from cnn_jax.runs.content import Content
from cnn_jax.runs.derive import derive
from cnn_jax.runs.folder.record import Record
from cnn_jax.runs.folder.run import take_run
from cnn_jax.runs.folder.stored import to_json

CONFIG = Config(
    model=ModelConfig("lenet5", num_classes=10), data=DataConfig(batch_size=64), train=TrainConfig(steps=24)
)
DIGEST = "ab" * 32
CONTENT = Content(data={"train": DIGEST})


class Killed(BaseException):
    """Ends a start without a word, as SIGKILL does."""


def make(folder, config=CONFIG, *, step=24, end=None, content=CONTENT):
    """A run folder: one start that came to `step`, and then raised `end`."""
    derived = derive(config, num_examples=1000, num_classes=10, num_devices=1)
    with (
        contextlib.closing(take_run(folder, config, derived, content)) as writer,
        contextlib.suppress(BaseException),
        Record(writer, 0) as record,
    ):
        record.saved(step)
        lines = [{"step": 8, "split": "train", "loss": 2.0}, {"step": 8, "split": "validation", "top1": 0.5}]
        lines += [{"step": 16, "split": "validation", "top1": 0.75}]
        lines += [{"step": 24, "split": "test", "top1": 0.875}] if end is None else []
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if end is not None:
            raise end
    return folder


def other(**changes):
    """The configuration with other values of a section's keys."""
    sections = {name: dataclasses.replace(getattr(CONFIG, name), **values) for name, values in changes.items()}
    return dataclasses.replace(CONFIG, **sections)


@pytest.fixture
def three(tmp_path):
    """Runs that differ in the learning rate and in the seed."""
    folder = tmp_path / "runs"
    make(folder / "a")
    make(folder / "deep" / "b", other(optim={"learning_rate": 0.2}), step=16, end=Stopped(15, 16))
    make(folder / "deep" / "c", dataclasses.replace(CONFIG, seed=3), step=8, end=Killed())
    return folder


def run(capsys, *argv):
    status = main([str(a) for a in argv])
    out, err = capsys.readouterr()
    return status, out, err


def test_every_run_is_listed_with_what_tells_it_apart(three):
    rows = {os.path.basename(row["run"]): row for row in cnn_jax.list_runs(three)}
    assert [row["state"] for row in rows.values()] == ["finished", "stopped", "stopped"]
    assert rows["a"]["differs"] == {"seed": 0, "optim.learning_rate": 0.1}
    assert rows["b"]["differs"] == {"seed": 0, "optim.learning_rate": 0.2}
    assert rows["c"]["differs"] == {"seed": 3, "optim.learning_rate": 0.1}
    assert [row["step"] for row in rows.values()] == [24, 16, 8]
    assert {row["steps"] for row in rows.values()} == {24}
    assert rows["a"]["validation_top1"] == 0.75 and rows["a"]["test_top1"] == 0.875
    assert rows["b"]["test_top1"] is None and rows["c"]["seed"] == 3
    assert all(0 <= row["seconds"] < 60 for row in rows.values())
    assert rows["a"]["identity"] == json.loads((three / "a" / "config.json").read_text())["identity"]


class Diverged(Exception):
    ended = "diverged"


@pytest.mark.parametrize(
    ("end", "state"),
    [(None, "finished"), (Diverged(), "diverged"), (Stopped(15, 8), "stopped"), (KeyboardInterrupt(), "stopped")],
    ids=["finished", "diverged", "stopped", "Ctrl-C"],
)
def test_the_state_is_how_the_run_ended(tmp_path, end, state):
    make(tmp_path / "a", end=end, step=8)
    (row,) = cnn_jax.list_runs(tmp_path)
    assert row["state"] == state and row["differs"] == {}


def test_a_run_killed_after_its_test_line_is_finished(tmp_path):
    make(tmp_path / "a")
    content = json.loads((tmp_path / "a" / "config.json").read_text())
    content["record"][-1]["ended"] = None
    rewrite(tmp_path / "a", content)
    assert cnn_jax.list_runs(tmp_path)[0]["state"] == "finished"


@pytest.mark.parametrize("what", [".", ".lock"])
def test_a_run_whose_lock_is_held_is_running_as_far_as_it_reported(tmp_path, what):
    folder = make(tmp_path / "a", step=8, end=Killed())
    with (folder / ".lock").open("a"):
        holder = os.open(folder / what, os.O_RDONLY)
        fcntl.flock(holder, fcntl.LOCK_EX)
        (row,) = cnn_jax.list_runs(tmp_path)
        os.close(holder)
    assert row["state"] == "running" and row["step"] == 16
    assert cnn_jax.list_runs(tmp_path)[0]["state"] == "stopped"


def test_contents_tell_runs_apart(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / "b", content=Content(data={"train": "cd" * 32}, weights=DIGEST))
    a, b = cnn_jax.list_runs(tmp_path)
    assert a["differs"] == {"data: train": DIGEST, "weights": None}
    assert b["differs"] == {"data: train": "cd" * 32, "weights": DIGEST}


def test_a_save_that_was_cut_off_does_not_count(tmp_path):
    folder = make(tmp_path / "a", step=16, end=Killed())
    (folder / "checkpoints" / "8").mkdir(parents=True)
    (folder / "checkpoints" / "16.orbax-checkpoint-tmp").mkdir()
    assert cnn_jax.list_runs(tmp_path)[0]["step"] == 8


def test_the_seconds_of_all_starts_are_added(tmp_path):
    folder = make(tmp_path / "a", step=8, end=Killed())
    content = json.loads((folder / "config.json").read_text())
    content["record"] = [{**content["record"][0], "seconds": {"training": 2.0, "saving": 1.0}}] * 2
    rewrite(folder, content)
    assert cnn_jax.list_runs(folder)[0]["seconds"] == 6.0


def rewrite(folder, content):
    """Puts another content into `config.json`, with its checksum."""
    del content["checksum"]
    (folder / "config.json").write_text(to_json(content))


def damage(folder, name, text):
    (folder / name).write_text(text)
    return folder


DAMAGES = {
    "config.json cut short": lambda f: damage(f, "config.json", (f / "config.json").read_text()[:200]),
    "a foreign config.json": lambda f: damage(f, "config.json", '{"model_type": "bert"}'),
    "a list": lambda f: damage(f, "config.json", "[]"),
    "another value": lambda f: damage(f, "config.json", (f / "config.json").read_text().replace(": 64", ": 65")),
    "no UTF-8": lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"),
    "no config.json": lambda f: (f / "config.json").unlink(),
    "a damaged line": lambda f: damage(f, "metrics.jsonl", '{"step": 1, "spl\n{"step": 2, "split": "test"}\n'),
    "a word for a figure": lambda f: damage(f, "metrics.jsonl", '{"step": 24, "split": "test", "top1": "good"}\n'),
    "deeper than Python reads": lambda f: damage(f, "config.json", "[" * 100_000),
    "a changed record": lambda f: damage(
        f, "config.json", (f / "config.json").read_text().replace('"last_step": 24', '"last_step": 16')
    ),
    "a record of other things": lambda f: rewrite(f, json.loads((f / "config.json").read_text()) | {"record": ["x"]}),
}


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES)
def test_a_folder_that_cannot_be_read_is_a_line_of_its_own(tmp_path, capsys, how):
    make(tmp_path / "a")
    make(tmp_path / "b", other(optim={"learning_rate": 0.2}))
    how(tmp_path / "b")
    a, b = cnn_jax.list_runs(tmp_path)
    assert a["state"] == "finished" and a["differs"] == {}  # what cannot be read is not compared
    assert b["state"] == "unreadable" and str(tmp_path / "b") in b["reason"] and b["step"] is None
    status, out, err = run(capsys, "runs", tmp_path)
    assert status == 0 and "unreadable" in out and b["reason"] in out and "Traceback" not in out + err


def test_a_last_line_that_is_being_written_is_left_out(tmp_path):
    folder = make(tmp_path / "a", step=8, end=Killed())
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 24, "split": "validation", "to')
    assert cnn_jax.list_runs(tmp_path)[0]["validation_top1"] == 0.75


def test_each_run_is_listed_once_and_unfinished_folders_are_not(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / ".a.unfinished")
    (tmp_path / "latest").symlink_to("a")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "empty").mkdir()
    assert [row["run"] for row in cnn_jax.list_runs(tmp_path, tmp_path / "a")] == [str(tmp_path / "a")]


def test_a_folder_of_version_0_1_is_listed(tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    from cnn_jax.config import flatten, identity_0_1

    flat = flatten(CONFIG)
    derived = dataclasses.asdict(derive(CONFIG, num_examples=1000, num_classes=10, num_devices=1))
    content = {"identity": identity_0_1(flat), "config": flat, "derived": derived, "environment": {"jax": "0.12"}}
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "checkpoints" / "16").mkdir(parents=True)
    (row,) = cnn_jax.list_runs(folder)
    assert (row["state"], row["step"], row["steps"], row["seconds"]) == ("stopped", 16, 24, None)


def test_json_csv_and_table_hold_the_same(three, capsys):
    status, out, _ = run(capsys, "runs", three, "--json")
    rows = json.loads(out.splitlines()[-1])["runs"]
    assert status == 0 and rows == cnn_jax.list_runs(three)
    status, out, _ = run(capsys, "runs", three, "--csv")
    table = list(csv.DictReader(io.StringIO(out)))
    assert status == 0
    for row, line in zip(rows, table, strict=True):
        assert (line["run"], line["state"], line["identity"]) == (row["run"], row["state"], row["identity"])
        assert float(line["optim.learning_rate"]) == row["differs"]["optim.learning_rate"]
        assert line["test_top1"] == ("" if row["test_top1"] is None else str(row["test_top1"]))
    status, out, _ = run(capsys, "runs", three)
    heads, *lines = out.splitlines()
    assert status == 0 and len(lines) == 3 and not any("\x1b" in line for line in lines)
    assert heads.split() == ["run", "learning_rate", "seed", "state", "step", "seconds", "validation", "test"]
    assert lines[0].split()[1:5] == ["0.1", "0", "finished", "24/24"] and lines[0].split()[-2:] == ["75.00%", "87.50%"]


def test_keys_of_one_ending_keep_their_sections(tmp_path, capsys):
    make(tmp_path / "a")
    make(tmp_path / "b", other(model={"name": "resnet20"}, optim={"name": "adamw"}))
    _, out, _ = run(capsys, "runs", tmp_path)
    assert {"model.name", "optim.name"} <= set(out.splitlines()[0].split())


def test_text_of_users_is_no_markup(tmp_path, capsys):
    make(tmp_path / "[red]a :cat:")
    make(tmp_path / "b", other(data={"augment": ("pad_crop(4)", "[/red]")}))
    _, out, _ = run(capsys, "runs", tmp_path)
    assert "[red]a :cat:" in out and '["pad_crop(4)", "[/re...' in out


def test_mistakes_are_answered_with_a_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, "runs")
    assert status == 1 and "no folder `runs`" in err
    (tmp_path / "runs").mkdir()
    assert run(capsys, "runs")[:2] == (0, "no runs found\n")
    status, _, err = run(capsys, "runs", "--csv", "--json")
    assert status == 2 and "give one of them" in err


def test_listing_loads_neither_jax_nor_tensorflow_and_works_in_ascii(three):
    program = (
        "import sys; from cnn_jax.cli import main; s = main(sys.argv[1:]); print(*sorted(sys.modules)); sys.exit(s)"
    )
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program, "runs", str(three)], capture_output=True, text=True, env=environment, check=True
    )
    *lines, modules = done.stdout.splitlines()
    assert len(lines) == 4
    assert not {"jax", "tensorflow", "tensorflow_datasets", "matplotlib", "flax"} & set(modules.split())
