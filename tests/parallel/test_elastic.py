"""A run moves from eight devices to two and to one, and from strategy to strategy, and stays the same experiment."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

FLAGS = ("--model.dtype", "float64", "--train.steps", "600", "--train.checkpoint-every", "20", "--train.log-every", "1")


def start(experiment, folder, devices, strategy):
    command = [sys.executable, "-m", "cnn_jax", "train", str(experiment), "--workdir", str(folder), *FLAGS]
    command += ["--parallel.strategy", strategy]
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def losses(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["split"] == "train"]


@pytest.mark.slow
def test_a_run_continues_on_fewer_devices_and_under_another_strategy(experiment, tmp_path):
    folder, notes = tmp_path / "moved", ""
    for devices, strategy, enough in ((8, "jit", 1), (2, "fsdp", 60), (4, "pmap", 120)):
        process = start(experiment, folder, devices, strategy)
        deadline = time.monotonic() + 120
        while not (folder / "metrics.jsonl").exists() or len(losses(folder)) < enough:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        notes += process.communicate(timeout=60)[1]
        assert process.returncode == 143, notes
    for end in (folder, tmp_path / "alone"):
        process = start(experiment, end, 1, "jit")
        notes += process.communicate(timeout=300)[1]
        assert process.returncode == 0, notes
    for change in ("devices 8 → 2", "devices 2 → 4", "devices 4 → 1"):
        assert f"bits may differ from here on: {change}" in notes
    assert len(losses(folder)) == 600
    # Float64 rounds by 1e-16, which 600 steps amplify; another batch or a lost momentum would show in the first digits.
    assert losses(folder) == pytest.approx(losses(tmp_path / "alone"), rel=1e-6)
