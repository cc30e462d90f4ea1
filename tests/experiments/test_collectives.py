"""The benchmarks' table of collectives: their number is a matter of the program, not of the image size or the batch."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_gradients_are_joined_and_batch_norm_sends_as_the_table_says():
    script = ROOT / "experiments" / "benchmarks" / "collectives.py"
    command = [sys.executable, str(script), "--devices", "8", "--per-device", "4", "--size", "64"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
    rows = [row.split(" | ") for row in printed.splitlines()]
    table = [row.split(" | ") for row in (script.parent / "README.md").read_text().splitlines()]
    found, stated = (next(row for row in lines if row[:2] == ["| jit", "8"]) for lines in (rows, table))
    assert found[2:7] == stated[2:7]
