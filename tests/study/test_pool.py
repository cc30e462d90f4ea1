"""Several processes work on one study: kills, whenever they come, lose nothing and change no bit of its table."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnn_jax.config import ConfigError
from cnn_jax.study import pool
from cnn_jax.study.ablation import load_study
from cnn_jax.study.pool import default_jobs, shares
from cnn_jax.study.run import Entry

FILE = """
from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def ablation():
    base = Config(
        model=ModelConfig("resnet8_cifar", options={"width": 0.25}, conv="xla"),
        data=DataConfig("digits", batch_size=32),
        optim=OptimConfig("sgd", learning_rate=0.2),
        train=TrainConfig(steps=30, checkpoint_every=5),
    )
    arms = {"slow": {"optim.learning_rate": 0.1}}
    return Ablation("Is a lower rate better?", base, arms, seeds=(0, 1, 2))
"""

# A process of a study that does what it is told by the name of the arm.
WORKER = """
import json, os, sys
out = sys.stdout
for line in sys.stdin:
    arm, seed = json.loads(line)
    print(json.dumps({"state": "running", "why": "", "progress": 0.5, "ended": False}), flush=True)
    if arm == "dies" or (arm == "dies once" and not os.path.exists("died")):
        open("died", "w").close()
        os.kill(os.getpid(), 9)
    state, why = ("full", "the disk is full") if arm == "fills" else ("finished", "")
    print(json.dumps({"state": state, "why": why, "progress": 0.0, "ended": True}), flush=True)
"""


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Runs arms of these names in a pool of two of those processes; gives what ended and what was seen."""
    (tmp_path / "worker.py").write_text(WORKER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pool, "POLL", 0.05)
    monkeypatch.setattr(pool, "shares", lambda jobs: [{}] * jobs)
    monkeypatch.setattr(pool.sys, "executable", str(Path(sys.executable)))
    real = subprocess.Popen

    def start(command, **how):
        return real([sys.executable, "worker.py"], **how)

    monkeypatch.setattr(pool.subprocess, "Popen", start)

    def run(*arms):
        waiting = [Entry(arm, 0, None, tmp_path / arm, "waiting") for arm in arms]
        monkeypatch.setattr(pool, "entries", lambda study, place: waiting)
        seen = []
        return list(pool.run_in_pool(None, tmp_path, tmp_path / "file.py", 2, seen.append)), seen

    return run


def test_all_runs_are_told_of_and_end(given):
    ended, seen = given("a", "b", "c")
    assert sorted((e.arm, e.state) for e in ended) == [("a", "finished"), ("b", "finished"), ("c", "finished")]
    assert sorted((e.arm, e.progress) for e in seen if e.state == "running") == [("a", 0.5), ("b", 0.5), ("c", 0.5)]


def test_a_run_whose_process_dies_is_tried_once_more(given):
    ended, _ = given("a", "dies once", "b")
    states = [(e.state, e.why) for e in ended if e.arm == "dies once"]
    assert states == [("waiting", "its process was killed by SIGKILL; it is tried once more"), ("finished", "")]


def test_one_whose_process_dies_twice_has_failed_and_stops_no_other(given):
    ended, _ = given("dies", "a", "b")
    assert [(e.state, e.why) for e in ended if e.arm == "dies"][-1] == (
        "failed",
        "its process was killed by SIGKILL twice",
    )
    assert sorted(e.arm for e in ended if e.state == "finished") == ["a", "b"]


def test_a_full_disk_ends_the_study(given):
    with pytest.raises(OSError, match="the disk is full"):
        given("fills", "a", "b", "c", "d")


def test_each_process_has_its_own_cores(monkeypatch):
    monkeypatch.setattr(pool, "visible_gpus", list)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 5, 7}, raising=False)
    assert [share["CNN_JAX_CORES"] for share in shares(2)] == ["0,1", "2,5,7"]
    with pytest.raises(ConfigError, match="`--jobs` is 6: each takes a core for itself, and there are 5"):
        shares(6)


def test_each_process_has_its_own_gpu(monkeypatch):
    monkeypatch.setattr(pool, "visible_gpus", lambda: ["3", "GPU-ab"])
    assert shares(2) == [{"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "GPU-ab"}]
    with pytest.raises(ConfigError, match="`--jobs` is 3: each takes a GPU for itself, and there are 2"):
        shares(3)
    assert default_jobs() == 2


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The study's file, and its table from one process."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "rates.py").write_text(FILE)
    command = [sys.executable, "-m", "cnn_jax", "ablate", "rates.py", "--workdir", "one"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def processes_of(folder):
    """Of the study in this folder: those that train, and the one that gives out the work."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            if os.readlink(path / "cwd") == str(folder) and b"two" in words:
                found.append(int(path.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kills", [20])
def test_kills_over_two_processes_lose_no_run_and_change_no_bit_of_the_table(undisturbed, kills):
    command = [sys.executable, "-m", "cnn_jax", "ablate", "rates.py", "--workdir", "two", "--jobs", "2"]
    rng, done, folder = random.Random(0), {}, undisturbed
    while True:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while process.poll() is None and kills:
            time.sleep(rng.uniform(1, 8))
            alive = processes_of(folder)
            if alive:
                kills -= 1
                os.kill(rng.choice(alive), signal.SIGKILL)
        process.communicate()
        for line in (folder / "two").glob("*/*/metrics.jsonl"):
            if '"split": "test"' in line.read_text():
                times = line.stat().st_mtime_ns
                assert done.setdefault(line, times) == times  # a finished run is not run again
        if process.returncode == 0:
            break
    assert kills == 0 and len(done) == len(load_study(folder / "rates.py").configs)
    assert (folder / "two/table.md").read_bytes() == (folder / "one/table.md").read_bytes()
