"""Random operations as compiled steps, with the options that they really get, against loops in float64: a short sweep
always, a long one under `-m slow`. `sweep.py` holds the cases."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# In roundings of the dtype times the sum of what was added up, as absolute values.
MOST = 8
DTYPES = ("float32", "bfloat16", "float16")


def sweep(kind, dtype, first, count):
    """What is wrong in a range of cases; where the process died, each is tried in one of its own."""
    command = [sys.executable, str(Path(__file__).with_name("sweep.py")), kind, dtype]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    child = subprocess.run([*command, str(first), str(count)], capture_output=True, text=True, env=environment)
    lines = child.stdout.splitlines()
    if child.returncode or lines[-1:] != ["done"]:
        if count > 1:
            return [bad for i in range(first, first + count) for bad in sweep(kind, dtype, i, 1)]
        return [f"{kind} {dtype} {first} ends its process with {child.returncode}: {child.stderr[-500:]}"]
    rows = [line.split("\t") for line in lines[:-1]]
    assert len(rows) == count
    return [f"{kind} {dtype} {i}, {text}: {error} roundings" for i, error, text in rows if not float(error) <= MOST]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "count"), [("convolutions", 50), ("others", 16)])
def test_random_operations_agree_with_loops(kind, count, dtype):
    assert sweep(kind, dtype, 0, count) == []


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "count"), [("convolutions", 1000), ("others", 170)])
def test_many_random_operations_agree_with_loops(kind, count, dtype):
    assert [bad for first in range(0, count, 50) for bad in sweep(kind, dtype, first, min(50, count - first))] == []
