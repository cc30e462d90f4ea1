"""Eight devices in a process of their own: their number is fixed once JAX has started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).with_name("eight_devices.py")


@pytest.mark.parametrize(
    "names",
    [
        ["gradients_of_the_whole", "batch_norm_far_from_zero", "loops_over_rows"],
        pytest.param(["gradients_under_shard_map"], marks=pytest.mark.slow),  # as under pmap, in tests/parallel
    ],
    ids=["jit", "shard_map"],
)
def test_on_eight_devices(names):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, str(PROGRAMS), *names]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
