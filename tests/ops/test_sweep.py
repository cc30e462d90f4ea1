"""Random operations as compiled steps, with the options that they really get, against loops in float64.

A short sweep always, a long one under `-m slow`. `sweep.py` holds the cases.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

DTYPES = ("float32", "bfloat16", "float16")


def most(kind, dtype):
    """The largest error, in roundings of the dtype times the sum of what was added up, as absolute values.

    Half precision is added up in float32. In float32 itself, a gradient of BatchNorm behind a convolution is a sum of
    sums, some hundred values in turn each, which lose about the root of their number: 13.6 was seen.
    """
    return 24 if (kind, dtype) == ("others", "float32") else 8


CHOICES = ("auto", "xla")


def sweep(kind, dtype, choice, first, count):
    """What is wrong in a range of cases; where the process died, each is tried in one of its own."""
    command = [sys.executable, str(Path(__file__).with_name("sweep.py")), kind, dtype, choice]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    child = subprocess.run([*command, str(first), str(count)], capture_output=True, text=True, env=environment)
    lines = child.stdout.splitlines()
    if child.returncode or lines[-1:] != ["done"]:
        if count > 1:
            return [bad for i in range(first, first + count) for bad in sweep(kind, dtype, choice, i, 1)]
        return [f"{kind} {dtype} {choice} {first} ends its process with {child.returncode}: {child.stderr[-500:]}"]
    rows = [line.split("\t") for line in lines[:-1]]
    assert len(rows) == count
    return [
        f"{kind} {dtype} {choice} {i}, {text}: {error} roundings"
        for i, error, text in rows
        if not float(error) <= most(kind, dtype)
    ]


def few(kept):
    return pytest.mark.parametrize(
        "dtype", [pytest.param(dtype, marks=[pytest.mark.slow] * (dtype != kept)) for dtype in DTYPES]
    )


@few("bfloat16")
@pytest.mark.parametrize("choice", ["auto", pytest.param("xla", marks=pytest.mark.slow)])
def test_random_convolutions_agree_with_loops(choice, dtype):
    assert sweep("convolutions", dtype, choice, 4 * CHOICES.index(choice), 4) == []


@few("float32")
def test_other_random_operations_agree_with_loops(dtype):
    assert sweep("others", dtype, "auto", 0, 2) == []


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize(("kind", "count"), [("convolutions", 500), ("others", 84)])
def test_many_random_operations_agree_with_loops(kind, count, choice, dtype):
    first = count * CHOICES.index(choice)
    parts = [(i, min(50, first + count - i)) for i in range(first, first + count, 50)]
    assert [bad for start, size in parts for bad in sweep(kind, dtype, choice, start, size)] == []
