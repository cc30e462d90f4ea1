"""A study's run folders are its only ledger: what is done is skipped, what fails stops nothing."""

import contextlib
import dataclasses
import errno
import json
import os
import re
import shutil
import signal
from collections import Counter

import pytest

import cnn_jax
from cnn_jax.cli import main
from cnn_jax.config import ConfigError
from cnn_jax.parallel import compile
from cnn_jax.runs.console.signals import Stopped, StopSignals
from cnn_jax.runs.folder.checkpoint import CheckpointError, Checkpoints
from cnn_jax.runs.folder.lock import FolderLock
from cnn_jax.runs.folder.predictions import read_predictions, write_predictions
from cnn_jax.study.ablation import load_study
from cnn_jax.study.plan import plan
from cnn_jax.study.run import entries, run_study

FILE = """
from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def ablation():
    base = Config(
        model=ModelConfig("resnet8_cifar", options={"width": 0.25}, conv="xla"),
        data=DataConfig("digits", batch_size=32),
        optim=OptimConfig("sgd", learning_rate=0.2),
        train=TrainConfig(steps=2),
    )
    arms = {"slow": {"optim.learning_rate": 0.1}}
    return Ablation("Is a lower rate better?", base, arms, seeds=(0, 1))
"""


@pytest.fixture(autouse=True)
def pages(monkeypatch):
    """The pages that would be written, which takes seconds."""
    written = []
    monkeypatch.setattr("cnn_jax.study.ablate.report", lambda folder, page: written.append((folder, page)))
    return written


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A whole study, and its file."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "rates.py").write_text(FILE)
    result = cnn_jax.ablate(folder / "rates.py", folder / "studies")
    assert [run.state for run in result.runs] == ["finished"] * 4
    assert result.report == folder / "studies/report.html" and "Is a lower rate better?" in result.report.read_text()
    return folder


@pytest.fixture
def copy(done, tmp_path):
    shutil.copytree(done, tmp_path / "copy")
    return tmp_path / "copy"


def entries_of(folder):
    return entries(load_study(folder / "rates.py"), folder / "studies")


def states(folder):
    return {(e.arm, e.seed): e.state for e in entries_of(folder)}


@pytest.mark.slow
def test_a_finished_study_is_not_trained_again_and_its_table_and_report_stay(copy, capsys, pages):
    table = (copy / "studies/table.md").read_text()

    def train(entry):
        raise AssertionError(f"{entry.folder} was trained again")

    assert list(run_study(load_study(copy / "rates.py"), copy / "studies", train)) == []
    assert main(["ablate", str(copy / "rates.py"), "--workdir", str(copy / "studies"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [arm["arm"] for arm in figures["arms"]] == ["base", "slow"] and figures["metric"] == "top1"
    assert Counter(run["state"] for run in figures["runs"]) == {"finished": 4}
    assert (copy / "studies/table.md").read_text() == table and "Is a lower rate better?" in table
    assert figures["report"] == str(copy / "studies/report.html") and not pages


def test_runs_are_ordinary_run_folders(copy, capsys):
    run = copy / "studies/slow/seed-1"
    assert main(["eval", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_examples"] == 359
    assert len(cnn_jax.list_runs(copy / "studies")) == 4


@pytest.mark.slow
def test_seeds_share_programs_and_a_run_in_a_study_has_the_bits_of_that_run_alone(copy, tmp_path, monkeypatch):
    monkeypatch.setattr(compile, "_COMPILED", compile.OrderedDict())
    shutil.rmtree(copy / "studies")
    numbers = []

    def watch(entry):
        if entry.state == "finished":
            numbers.append(len(compile._COMPILED))

    cnn_jax.ablate(copy / "rates.py", copy / "studies", watch=watch)
    assert numbers == [3, 4, 4, 4]  # drawing, training, evaluation; another rate is another step
    compile._COMPILED.clear()
    alone = tmp_path / "alone"
    cnn_jax.train(load_study(copy / "rates.py").configs["slow", 1], alone)
    for name in ("metrics.jsonl", "predictions.npz"):
        assert without_times(alone / name) == without_times(copy / "studies/slow/seed-1" / name)
    assert sums(alone) == sums(copy / "studies/slow/seed-1")


def without_times(file):
    if file.suffix == ".npz":
        return file.read_bytes()
    lines = map(json.loads, file.read_text().splitlines())
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]


def sums(folder):
    """Of every array of the last checkpoint."""
    with contextlib.closing(Checkpoints(folder / "checkpoints", read_only=True)) as checkpoints:
        return checkpoints.manifest(2).sums_by_path()


def test_a_run_that_is_gone_is_trained_again_to_the_same_table(copy, pages):
    table = (copy / "studies/table.md").read_text()
    shutil.rmtree(copy / "studies/base/seed-1")
    (copy / "studies/table.md").unlink()
    assert states(copy)["base", 1] == "waiting"
    seen = []
    result = cnn_jax.ablate(copy / "rates.py", copy / "studies", watch=seen.append)
    assert [entry.state for entry in seen[:4]] == ["finished", "finished", "waiting", "finished"]  # as they are found
    assert {entry.folder for entry in seen[4:]} == {copy / "studies/base/seed-1"} and len(result.rows) == 2
    assert [(entry.state, entry.progress) for entry in seen[4:]] == [
        ("running", 0),
        ("running", 0.5),
        ("running", 1),
        ("finished", 0),
    ]
    assert (copy / "studies/table.md").read_text() == table
    assert pages == [(copy / "studies", copy / "studies/report.html")]


def test_arms_tested_on_other_examples_are_not_paired(copy):
    folder = copy / "studies/slow/seed-1"
    said = read_predictions(folder)
    write_predictions(folder, dataclasses.replace(said, label=said.label[::-1]))
    with pytest.raises(ConfigError, match=r"seed-1` was tested on other examples .* cannot be paired"):
        cnn_jax.ablate(copy / "rates.py", copy / "studies")


def test_dry_run_trains_nothing(copy, capsys):
    shutil.rmtree(copy / "studies/base")
    assert main(["ablate", str(copy / "rates.py"), "--workdir", str(copy / "studies"), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "2 waiting" in out and "2 finished" in out and "compared when all runs are done" in out
    seconds = re.search(r"To do: 2 runs of 4 steps in all, about (\d+) s\.", out)
    assert seconds and float(seconds[1]) == pytest.approx(plan(entries_of(copy), 1).seconds, abs=0.5)
    assert plan(entries_of(copy), 2).seconds == plan(entries_of(copy), 1).seconds / 2
    assert not (copy / "studies/base").exists()


def test_a_changed_arm_is_stale_and_its_runs_are_not_compared(copy, capsys):
    (copy / "rates.py").write_text(FILE.replace("0.1}", "0.3}"))
    assert states(copy) == {
        ("base", 0): "finished",
        ("base", 1): "finished",
        ("slow", 0): "stale",
        ("slow", 1): "stale",
    }
    assert main(["ablate", str(copy / "rates.py"), "--workdir", str(copy / "studies")]) == 1
    out = capsys.readouterr().out
    assert "optim.learning_rate: 0.1 there, 0.3 now" in out and "2 stale" in out


def test_one_that_fails_stops_no_other_and_is_tried_once(copy):
    shutil.rmtree(copy / "studies")
    tried = []

    def train(entry):
        tried.append((entry.arm, entry.seed))
        raise OSError("no space")

    found = list(run_study(load_study(copy / "rates.py"), copy / "studies", train))
    assert tried == [("base", 0), ("slow", 0), ("base", 1), ("slow", 1)]
    assert [(e.state, e.why) for e in found] == [("failed", "no space")] * 4


def test_a_full_disk_ends_the_study(copy):
    shutil.rmtree(copy / "studies")

    def train(entry):
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise CheckpointError("the checkpoint could not be saved") from error

    with pytest.raises(OSError, match=r"the disk of .*base/seed-0` is full. Make room, and give the same command"):
        list(run_study(load_study(copy / "rates.py"), copy / "studies", train))


def test_a_signal_ends_the_study(copy):
    shutil.rmtree(copy / "studies/base/seed-0")

    def train(entry):
        raise Stopped(15, 3)

    with pytest.raises(Stopped, match="stopped by SIGTERM; saved at step 3"):
        list(run_study(load_study(copy / "rates.py"), copy / "studies", train))


def test_a_signal_that_came_too_late_for_a_run_ends_the_study_after_it(copy):
    shutil.rmtree(copy / "studies")
    tried = []

    def train(entry):
        tried.append(entry.arm)
        with StopSignals():  # as around a training, which was drawing its pictures
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match="stopped by SIGTERM; the runs at work have saved") as stopped:
        list(run_study(load_study(copy / "rates.py"), copy / "studies", train))
    assert tried == ["base"] and stopped.value.exit_status == 143
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_another_process_is_at_work_on_is_left_to_it(copy, monkeypatch):
    study, place = load_study(copy / "rates.py"), copy / "studies"
    saved = copy / "away"
    shutil.copytree(place / "slow/seed-0", saved)
    lines = (place / "slow/seed-0/metrics.jsonl").read_text().splitlines(keepends=True)
    (place / "slow/seed-0/metrics.jsonl").write_text("".join(lines[:-1]))  # not tested yet
    lock = FolderLock(place / "slow/seed-0")
    assert states(copy)["slow", 0] == "running"
    waits = []

    def wait(seconds):
        """The other process ends its run."""
        waits.append(seconds)
        shutil.copy(saved / "metrics.jsonl", place / "slow/seed-0/metrics.jsonl")
        lock.release()

    monkeypatch.setattr("cnn_jax.study.run.time.sleep", wait)

    def train(entry):
        raise AssertionError(f"{entry.folder} was taken from another process")

    assert [entry.state for entry in run_study(study, place, train)] == ["finished"] and len(waits) == 1
    assert states(copy)["slow", 0] == "finished"


def test_a_bad_study_makes_no_folder(tmp_path):
    (tmp_path / "rates.py").write_text(FILE.replace("seeds=(0, 1)", "seeds=(0,)"))
    with pytest.raises(ConfigError, match="1 seed"):
        cnn_jax.ablate(tmp_path / "rates.py", tmp_path / "studies")
    assert not (tmp_path / "studies").exists()
