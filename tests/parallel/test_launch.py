"""Two processes that are disturbed: one is killed, one is told to stop, and the run goes on somewhere else."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FLAGS = ("--train.steps", "400", "--train.checkpoint-every", "40", "--train.eval-every", "20")

# Who waits for the dead in Orbax's barrier learns of it from the missing heartbeat only, after the launcher's patience.
LATE = r"launch: process {} had not noticed it \d+ s later, and is killed\."


def start(experiment, folder, *launch_flags, processes=2, flags=FLAGS):
    command = [sys.executable, "-m", "cnn_jax", "launch", "--processes", str(processes), *launch_flags]
    command += ["train", str(experiment), "--workdir", str(folder), *flags, "--json"]
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}  # programs that run for a moment
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | quick)


def process_of(launcher, number):
    """The process id of one of the processes that a launcher started."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    return next(int(c) for c in children if f"process-id={number}" in Path(f"/proc/{c}/cmdline").read_text())


def wait_for_checkpoint(folder, launcher, timeout=120):
    """Returns when a first checkpoint is complete."""
    deadline = time.monotonic() + timeout
    while not [p for p in folder.glob("checkpoints/*") if p.name.isdigit()]:
        assert launcher.poll() is None, launcher.communicate()[1]
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.05)


def lines_of(folder):
    """The metrics, but for what depends on the clock."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]


def sums_of(folder):
    """The checksums of all arrays of the last checkpoint."""
    return json.loads((folder / "checkpoints" / "400" / "checksum" / "metadata").read_text())


# Says when it is ready, and ends with the status of the signal that it gets.
WAITS = """
import signal, sys
signals = {signal.SIGUSR1, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("ready", flush=True)
sys.exit(128 + signal.sigwait(signals))
"""
LAUNCH = "import sys; from cnn_jax.parallel import launch; sys.exit(launch(sys.argv[1:], processes=1))"


@pytest.mark.parametrize(("sent", "passed"), [("SIGUSR1", "SIGUSR1"), ("SIGTERM", "SIGTERM"), ("SIGINT", "SIGTERM")])
def test_the_status_of_a_launch_says_which_signal_ended_it(sent, passed):
    command = [sys.executable, "-c", LAUNCH, sys.executable, "-c", WAITS]
    launcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert launcher.stdout.readline() == "ready\n"
    launcher.send_signal(getattr(signal, sent))
    assert launcher.wait(timeout=20) == 128 + getattr(signal, passed)
    launcher.stdout.close()


@pytest.fixture(scope="module")
def undisturbed(experiment, tmp_path_factory):
    """A run of two processes, and what it printed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    launcher = start(experiment, folder)
    out, err = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, err
    return folder, out, err


@pytest.fixture(scope="module")
def stopped(experiment, tmp_path_factory):
    """A run of which process 1 got SIGTERM, what it printed, and how long it took to end."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    launcher = start(experiment, folder)
    wait_for_checkpoint(folder, launcher)
    began = time.monotonic()
    os.kill(process_of(launcher, 1), signal.SIGTERM)
    _, err = launcher.communicate(timeout=120)
    assert launcher.returncode == 143, err
    return folder, err, time.monotonic() - began


@pytest.mark.slow  # as the one of SIGTERM has it of validation
def test_two_processes_write_one_log_and_count_every_test_example_once(experiment, tmp_path):
    folder = tmp_path / "run"
    short = ("--train.steps", "6", "--train.log-every", "2", "--train.eval-every", "6", "--train.checkpoint-every", "6")
    launcher = start(experiment, folder, flags=short)
    out, err = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, err
    test = json.loads(out.splitlines()[-1])["test"]
    assert test["num_examples"] == 359  # batches of 64 over two processes do not divide it
    assert len(lines_of(folder)) == len({(line["step"], line["split"]) for line in lines_of(folder)})
    assert re.search(r"^\[0\] step ", err, re.MULTILINE)
    assert not re.search(r"^\[1\] step ", err, re.MULTILINE)


@pytest.mark.slow
def test_a_killed_process_ends_the_other_and_a_restart_ends_as_if_undisturbed(undisturbed, experiment, tmp_path):
    launcher = start(experiment, tmp_path / "run", "--restarts", "1")
    wait_for_checkpoint(tmp_path / "run", launcher)
    os.kill(process_of(launcher, 1), signal.SIGKILL)
    _, err = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, err
    assert re.search(
        r"^\[0\] .*process 0 of 2 lost another one .*newest checkpoint|^" + LATE.format(0), err, re.MULTILINE
    )
    assert "launch: process 1 was ended by SIGKILL." in err
    assert "starting all again" in err
    assert lines_of(tmp_path / "run") == lines_of(undisturbed[0])
    assert sums_of(tmp_path / "run") == sums_of(undisturbed[0])


@pytest.mark.slow
def test_the_other_process_ends_soon_with_a_message(experiment, tmp_path):
    launcher = start(experiment, tmp_path / "run")
    wait_for_checkpoint(tmp_path / "run", launcher)
    began = time.monotonic()
    os.kill(process_of(launcher, 0), signal.SIGKILL)
    _, err = launcher.communicate(timeout=60)
    assert time.monotonic() - began < 60
    assert launcher.returncode not in (0, 143)
    assert re.search(r"^\[1\] .*(lost another one|another task died)|^" + LATE.format(1), err, re.MULTILINE)


def test_sigterm_to_one_stops_all_at_the_same_step(stopped):
    folder, err, seconds = stopped
    steps = re.findall(r"^\[(\d)\] cnn-jax: stopped by SIGTERM; saved at step (\d+)", err, re.MULTILINE)
    assert sorted(process for process, _ in steps) == ["0", "1"]
    assert len({step for _, step in steps}) == 1
    assert seconds < 30
    lines = lines_of(folder)
    assert len(lines) == len({(line["step"], line["split"]) for line in lines})
    validation = [line for line in lines if line["split"] == "validation"]  # batches of 64 in two do not divide it
    assert {line["num_examples"] for line in validation} == {180}
    assert re.search(r"^\[0\] step ", err, re.MULTILINE) and not re.search(r"^\[1\] step ", err, re.MULTILINE)


WAITING = """
import os, pathlib, time
import numpy as np
from cnn_jax import Images

def waiting(split):
    here = pathlib.Path(__file__).parent
    (here / f"reads{os.getpid()}").touch()
    while not (here / "go").exists():
        time.sleep(0.05)
    return Images(np.zeros((128, 8, 8, 1), np.uint8), np.arange(128) % 10, tuple("0123456789"))
"""


@pytest.mark.slow
def test_sigterm_to_one_that_reads_its_data_stops_all_before_a_step(experiment, tmp_path):
    file = tmp_path / "waiting.py"
    file.write_text(WAITING + experiment.read_text().replace('"digits"', "waiting"))
    launcher = start(file, tmp_path / "run")
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("reads*"))) < 2:
        assert launcher.poll() is None and time.monotonic() < deadline, launcher.communicate()[1]
        time.sleep(0.05)
    os.kill(process_of(launcher, 1), signal.SIGTERM)
    (tmp_path / "go").touch()
    _, err = launcher.communicate(timeout=120)
    assert launcher.returncode == 143, err
    said = re.findall(r"^\[(\d)\] cnn-jax: stopped by SIGTERM; nothing was lost", err, re.MULTILINE)
    assert sorted(said) == ["0", "1"]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_stopped_run_continues_to_the_same_end(stopped, undisturbed, experiment, tmp_path):
    shutil.copytree(stopped[0], tmp_path / "run")
    launcher = start(experiment, tmp_path / "run")
    _, err = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, err
    assert lines_of(tmp_path / "run") == lines_of(undisturbed[0])
    assert sums_of(tmp_path / "run") == sums_of(undisturbed[0])


@pytest.mark.slow
def test_a_run_of_two_processes_continues_in_one(stopped, undisturbed, experiment, tmp_path):
    shutil.copytree(stopped[0], tmp_path / "run")
    launcher = start(experiment, tmp_path / "run", processes=1)
    out, err = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, err
    assert "processes 2 → 1" in err
    wanted = lines_of(undisturbed[0])[-1]
    assert json.loads(out.splitlines()[-1])["test"]["loss"] == pytest.approx(wanted["loss"], rel=0.05)
