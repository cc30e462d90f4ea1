"""A run that is killed and started again ends with the same bits as one that was left alone; real processes."""

import json
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from cnn_jax.training.checkpoint import Checkpoints
from cnn_jax.training.events import EventWriter, read_events
from cnn_jax.training.run import read_run
from cnn_jax.training.session import open_session

STEPS = 300


def start(experiment, folder, *flags):
    command = [sys.executable, "-m", "cnn_jax", "train", str(experiment), "--workdir", str(folder), "--json"]
    options = ["--train.steps", str(STEPS), "--train.eval-every", "20", "--train.checkpoint-every", "10", *flags]
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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
    run = read_run(folder)
    session = open_session(run.config, run.derived)
    return Checkpoints(run.checkpoints, read_only=True).restore(run.derived.steps, session.checkpoint_target())


def assert_same_bits(a, b):
    paths = jax.tree.leaves_with_path(a)
    assert len(paths) >= 10
    for (path, x), y in zip(paths, jax.tree.leaves(b), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes(), jax.tree_util.keystr(path)


@pytest.fixture(scope="module")
def undisturbed(experiment, tmp_path_factory):
    """A run to the end, the seconds from its first metrics to its end, and what it printed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    process = start(experiment, folder)
    wait_for(lambda: lines_in(folder), process, "its first metrics")
    began = time.monotonic()
    wait_for(lambda: (folder / "metrics.jsonl").read_bytes().count(b'"test"'), process, "its test metrics")
    seconds = time.monotonic() - began
    return folder, seconds, finish(process)[0]


def test_three_kills_change_no_bit(undisturbed, experiment, tmp_path):
    reference, seconds, figures = undisturbed
    folder = tmp_path / "killed"
    saving = None

    def kill(process):
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the kill came after the end"
        assert metric_lines(folder)[-1]["split"] != "test", "the kill came after the end"

    for fraction in (0.15, 0.25):
        process, before = start(experiment, folder), lines_in(folder)
        wait_for(lambda before=before: lines_in(folder) != before, process, "new metrics")
        time.sleep(fraction * seconds)
        kill(process)

    # The third kill falls into a save: Orbax writes into a temporary folder and renames it at the end.
    for _ in range(10):
        process, before = start(experiment, folder), lines_in(folder)
        wait_for(lambda before=before: lines_in(folder) != before, process, "new metrics")
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
        (event.step, value.tag, value.simple_value)
        for event in read_events(folder / EventWriter.FILE_NAME)
        for value in event.summary.value
        if "time/" not in value.tag
    ]


def test_equal_commands_give_equal_bits_and_another_seed_does_not(experiment, tmp_path):
    short = ("--train.steps", "30", "--train.checkpoint-every", "30")
    for name, flags in (("a", short), ("b", short), ("other", (*short, "--seed", "1"))):
        finish(start(experiment, tmp_path / name, *flags))
    a, b, other = (restored(tmp_path / name) for name in ("a", "b", "other"))
    assert_same_bits(a, b)
    assert metric_lines(tmp_path / "a") == metric_lines(tmp_path / "b")
    with pytest.raises(AssertionError, match="params"):
        assert_same_bits({"params": a["state"].params}, {"params": other["state"].params})


def test_sigterm_saves_at_once_and_the_same_command_continues(undisturbed, experiment, tmp_path):
    reference, _, figures = undisturbed
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


def test_a_second_writer_is_refused(experiment, tmp_path):
    folder = tmp_path / "one"
    first = start(experiment, folder)
    wait_for(lambda: lines_in(folder), first, "its first metrics")
    second = start(experiment, folder)
    _, err = second.communicate(timeout=120)
    finish(first)
    assert second.returncode == 1
    assert "another process" in err and "Traceback" not in err
