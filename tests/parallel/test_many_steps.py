"""Many steps in one call on several devices: under every strategy, the length of the calls changes no bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("many_steps.py")


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 4])
def test_calls_of_any_length_have_the_bits_of_any_other_under_every_strategy(devices, data_root):
    command = [sys.executable, str(SCRIPT), str(devices)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    plain = found["jit"]["0"]["lines"]
    for strategy in ("jit", "pmap", "fsdp"):
        for count in ("7", "20"):
            assert found[strategy][count] == found[strategy]["1"]
        for count in ("0", "1"):  # in float64; a plain step and one in the loop differ by rounding
            for line, wanted in zip(found[strategy][count]["lines"], plain, strict=True):
                assert line == pytest.approx(wanted, rel=1e-6)
