"""The experiment file of one's own parts, on eight devices and in two processes: the same losses as on one device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parents[2] / "experiments" / "your_own.py"
FLAGS = ("--train.steps", "3", "--train.log-every", "1", "--train.eval-every", "3", "--train.checkpoint-every", "3")
FLAGS += ("--optim.name", "sgd", "--optim.learning-rate", "0.1", "--model.conv", "xla")


# One block a stage, and programs that are not optimised: they compile in a tenth of the time.
SHALLOWER = ("for block in range(3)", "for block in range(1)")
UNOPTIMISED = "--xla_backend_optimization_level=0"


def losses(folder, *flags, devices=1, launch=()):
    text = FILE.read_text()
    assert SHALLOWER[0] in text
    (folder / FILE.name).write_text(text.replace(*SHALLOWER))
    command = [sys.executable, "-m", "cnn_jax", *launch, "train", str(folder / FILE.name)]
    command += ["--workdir", str(folder / "run"), *FLAGS, *flags]
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} {UNOPTIMISED}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "train"] == [1, 2, 3]
    return [line["loss"] for line in lines]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return losses(tmp_path_factory.mktemp("alone"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"flags": ["--parallel.strategy", "pmap"], "devices": 8}, id="pmap"),
        pytest.param({"flags": [], "devices": 8}, id="jit"),
        pytest.param({"flags": [], "launch": ["launch", "--processes", "2"]}, id="processes"),
    ],
)
def test_it_computes_the_same_on_many_devices(alone, tmp_path, how):
    found = losses(tmp_path, *how.pop("flags"), **how)
    # Three steps in float32, whose sums are of other orders: a wrong average shows in the second digit.
    np.testing.assert_allclose(found, alone, rtol=2e-3)
