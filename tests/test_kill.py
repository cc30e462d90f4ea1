"""A run that is killed and started again ends with the same bits as one that was left alone; real processes.

One kill here, in a save; the two hundred, most of them around saves, take about forty minutes on two cores:

    uv run pytest -n 0 -m slow tests/test_kill.py
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.folder.events import read_records
from cnn_jax.runs.folder.own_code import with_code
from cnn_jax.runs.folder.run import read_run
from cnn_jax.runs.session import open_session

STEPS = 200
# The command line; no pictures are drawn, which takes as long as the training, nor are its programs optimised.
COMMAND = """
from cnn_jax.cli import entry_point
from cnn_jax.runs.console import pictures

pictures.draw_curves = pictures.draw_predictions = lambda *_: None
entry_point()
"""
QUICK = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}


def start(experiment, folder, *flags):
    command = [sys.executable, "-c", COMMAND, "train", str(experiment), "--workdir", str(folder), "--json"]
    command += ["--train.steps", str(STEPS), "--train.eval-every", "50", "--train.checkpoint-every", "10", *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=os.environ | QUICK, **pipes)


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1]), err


def metric_lines(folder):
    """The metrics without the times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]


def wait_for(condition, process, what):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, f"the run ended before {what}: {process.communicate()[1]}"
        assert time.monotonic() < deadline, what
        time.sleep(0.0005)


def lines_in(folder):
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def restored(folder):
    """Everything that the last checkpoint holds."""
    with with_code(read_run(folder)) as run:
        session = open_session(run.config, run.derived)
        return Checkpoints(run.checkpoints, read_only=True).restore(run.derived.steps, session.abstract_checkpoint())


def assert_same_bits(a, b):
    paths = jax.tree.leaves_with_path(a)
    assert len(paths) >= 10
    for (path, x), y in zip(paths, jax.tree.leaves(b), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes(), jax.tree_util.keystr(path)


@pytest.fixture(scope="module")
def undisturbed(experiment, tmp_path_factory):
    """A run to the end, and what it printed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    return folder, finish(start(experiment, folder))[0]


def test_a_kill_in_a_save_changes_no_bit(undisturbed, experiment, tmp_path):
    reference, figures = undisturbed
    folder = tmp_path / "killed"
    saving = None

    def kill(process):
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the kill came after the end"
        assert metric_lines(folder)[-1]["split"] != "test", "the kill came after the end"

    # Orbax writes into a temporary folder and renames it at the end.
    for _ in range(10):
        process, before = start(experiment, folder), lines_in(folder)
        wait_for(lambda before=before: lines_in(folder) != before, process, "new metrics")
        wait_for(lambda: any(p.name.isdecimal() for p in folder.glob("checkpoints/*")), process, "a checkpoint")
        wait_for(lambda: any("tmp" in p.name for p in (folder / "checkpoints").iterdir()), process, "a save")
        kill(process)
        saving = [p.name for p in (folder / "checkpoints").iterdir() if "tmp" in p.name]
        if saving:
            break
    assert saving, "no kill fell into a save"

    result, err = finish(start(experiment, folder))
    assert "continuing from the checkpoint" in err
    assert result["test"] == figures["test"]
    assert_same_bits(restored(folder), restored(reference))
    assert metric_lines(folder) == metric_lines(reference)
    assert events(folder) == events(reference)


def events(folder):
    """The TensorBoard scalars without wall times and rates."""
    return [
        (record.event.step, value.tag, value.simple_value)
        for record in read_records(folder)[0]
        for value in record.event.summary.value
        if "time/" not in value.tag
    ]


# Flags, devices and processes of each kind of run.
MODES = {
    "jit": ((), 1, 1),
    "jit on two devices": ((), 2, 1),
    "pmap": (("--parallel.strategy", "pmap"), 2, 1),
    "fsdp": (("--parallel.strategy", "fsdp"), 2, 1),
    "two processes": ((), 1, 2),
    "accumulation": (("--parallel.accumulate", "2", "--optim.ema-decay", "None"), 1, 1),
}


class Killable:
    """A training in processes of its own, that can be killed all at once."""

    def __init__(self, experiment, folder, mode):
        flags, devices, processes = MODES[mode]
        launch = ["launch", "--processes", str(processes)] if processes > 1 else []
        command = [sys.executable, "-m", "cnn_jax", *launch, "train", str(experiment), "--workdir", str(folder)]
        options = ["--train.steps", "60", "--train.log-every", "3", "--train.eval-every", "10"]
        options += ["--train.checkpoint-every", "4", "--model.conv", "xla", *flags]
        environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        self.folder, self.error = folder, folder.with_suffix(".err")
        with self.error.open("w") as err:
            self.process = subprocess.Popen([*command, *options], stdout=err, stderr=err, env=environment)

    def kill(self):
        """False where the run had ended by itself."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        # A launcher's children are in sessions of their own.
        children = [int(pid) for pid in path.read_text().split()] if path.exists() else []
        for pid in (*children, self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return self.process.wait() == -signal.SIGKILL

    def kill_near_a_save(self, rng):
        """Waits for this start's first metrics, then for a save to begin or to end, then up to 30 ms more."""
        before = (self.folder / "metrics.jsonl").read_bytes() if lines_in(self.folder) else b""
        what = rng.choice(["begins", "ends", "anywhere"])
        saved, seen = None, False
        deadline = time.monotonic() + 240
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.error.read_text()
            path = self.folder / "metrics.jsonl"
            seen = seen or (path.exists() and path.read_bytes() != before)
            names = set(os.listdir(self.folder / "checkpoints")) if seen and what != "anywhere" else set()
            done = {name for name in names if name.isdecimal()}
            if seen and (
                what == "anywhere"
                or (what == "begins" and names != done)
                or (what == "ends" and saved is not None and done - saved)
            ):
                break
            saved = done if seen and saved is None else saved
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.2 if what == "anywhere" else 0.03))
        return self.kill()

    def finish(self):
        assert self.process.wait(timeout=300) == 0, self.error.read_text()
        assert "Traceback" not in self.error.read_text()


def saved_sums(folder):
    """The checksums of every array of the last checkpoint."""
    return json.loads((folder / "checkpoints" / "60" / "checksum" / "metadata").read_text())["sums"]


def kill_often(experiment, tmp_path, mode, kills, seed):
    reference, rng, done, folders = tmp_path / "reference", random.Random(seed), 0, []
    Killable(experiment, reference, mode).finish()
    while done < kills:
        folder = tmp_path / f"killed{len(folders)}"
        folders.append(folder)
        while done < kills and Killable(experiment, folder, mode).kill_near_a_save(rng):
            done += 1
        Killable(experiment, folder, mode).finish()
        assert saved_sums(folder) == saved_sums(reference)
        assert metric_lines(folder) == metric_lines(reference)
        assert events(folder) == events(reference)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_two_hundred_kills_around_saves(experiment, tmp_path, mode):
    kill_often(experiment, tmp_path, mode, kills=34, seed=len(mode))


# Runs that are killed end with the bits of one that was not, above; what a seed changes, `wiring_rows` says.
@pytest.mark.slow
def test_equal_commands_give_equal_bits_and_another_seed_does_not(experiment, tmp_path):
    short = ("--train.steps", "30", "--train.checkpoint-every", "30", "--model.conv", "auto")
    for name, flags in (("a", short), ("b", short), ("other", (*short, "--seed", "1"))):
        finish(start(experiment, tmp_path / name, *flags))
    a, b, other = (restored(tmp_path / name) for name in ("a", "b", "other"))
    assert_same_bits(a, b)
    assert metric_lines(tmp_path / "a") == metric_lines(tmp_path / "b")
    with pytest.raises(AssertionError, match="params"):
        assert_same_bits({"params": a["state"].params}, {"params": other["state"].params})


@pytest.mark.slow  # as `parallel/test_launch.py` has it, of two processes
def test_sigterm_saves_at_once_and_the_same_command_continues(undisturbed, experiment, tmp_path):
    reference, figures = undisturbed
    folder = tmp_path / "preempted"
    process = start(experiment, folder, "--train.checkpoint-every", str(STEPS))
    wait_for(lambda: lines_in(folder) >= 10, process, "ten metrics")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "saved at step" in err
    result, err = finish(start(experiment, folder, "--train.checkpoint-every", str(STEPS)))
    assert "continuing from the checkpoint at step" in err
    assert_same_bits(restored(folder)["state"], restored(reference)["state"])
    assert result["test"] == figures["test"]


@pytest.mark.slow  # `runs/folder/test_lock.py` has two writers in one process
def test_a_second_writer_is_refused(experiment, tmp_path):
    folder = tmp_path / "one"
    first = start(experiment, folder)
    wait_for(lambda: lines_in(folder), first, "its first metrics")
    second = start(experiment, folder)
    _, err = second.communicate(timeout=120)
    finish(first)
    assert second.returncode == 1
    assert "another process" in err and "Traceback" not in err
