"""The kernels on random convolutions, against loops in float64, and with one, two and four threads.

A hundred always, two thousand under `-m slow`. `convolution_cases.py` holds the cases.
"""

import os
import subprocess
import sys
from functools import partial

import convolution_cases as cases
import jax
import numpy as np
import pytest
import random_cases

# Relative to the largest value. float32: sums of up to 10⁵ products, each of which loses 6e-8 of itself. bfloat16 is
# summed in float32 and rounded once, which loses up to 2⁻⁸ of a value, 3.9e-3.
TOLERANCE = {"float32": 2e-5, "bfloat16": 6e-3}


def sweep(script, threads, first, count, *check):
    """The rows of a process with so many threads: number, dtype, digest, text, and what was checked."""
    command = [sys.executable, script, str(first), str(count), *check]
    environment = os.environ | {"NPROC": str(threads)}
    child = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert child.returncode == 0, f"{child.returncode}: {child.stderr[-500:]}"
    had, *rows, done = [line.split("\t") for line in child.stdout.splitlines()]
    assert had == [str(threads)] and done == ["done"] and len(rows) == count * len(random_cases.DTYPES)
    return rows


def is_right(row):
    _, dtype, digest, _, *errors, misplaced = row
    return max(map(float, errors)) <= TOLERANCE[dtype] and misplaced == "0" and "other bits" not in digest


def agree_with_loops_and_with_themselves(script, first, count):
    checked = sweep(script, 2, first, count, "check")
    assert [row for row in checked if not is_right(row)] == []
    for threads in (1, 4):
        others = sweep(script, threads, first, count)
        assert [(a, b) for a, b in zip(checked, others, strict=True) if a[:3] != b[:3]] == []


@pytest.mark.parametrize(
    ("first", "count"), [(0, 100), pytest.param(100, 2000, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_they_agree_with_loops_and_with_themselves_on_any_number_of_threads(first, count):
    agree_with_loops_and_with_themselves(cases.__file__, first, count)


def test_the_cases_reach_what_they_are_meant_to_reach():
    drawn = [cases.draw(i) for i in range(100)]
    sizes, windows, strides = (np.array([case[i] for case in drawn]) for i in range(3))
    pads = np.array([case[3] for case in drawn])
    assert set(sizes[:, 0]) == set(range(6)) and {1, 17} <= set(sizes[:, 1:3].flat)
    assert set(strides.flat) == {1, 2, 3, 4} and {1, 11} <= set(windows[:, :2].flat)
    channels = windows[:, 2:]
    assert channels.min() == 1 and channels.max() > 500 and (pads.max(2) >= windows[:, :2]).any()


@pytest.mark.parametrize("handler", ["Convolution", "ToImages", "ToFilters"])
def test_what_ran_is_the_handler(handler):
    *_, strides, pads = cases.draw(0)
    lowered = jax.jit(partial(cases.kernels, strides=strides, pads=pads)).lower(*cases.arguments(0, "float32"))
    assert lowered.as_text().count(f"@cnn_jax_{handler}(") == 1
    assert lowered.compile().as_text().count(f'custom_call_target="cnn_jax_{handler}"') == 1


def test_the_loops_know_a_case_worked_by_hand():
    x, kernel = np.arange(1.0, 5).reshape(1, 1, 4, 1), np.array([1.0, 10, 100]).reshape(1, 3, 1, 1)
    # Padded 0 1 2 3 4 0, at every second place: 0 1 2, and 2 3 4.
    y, dx, dkernel = cases.loops(x, kernel, np.array([1.0, 2]).reshape(1, 1, 2, 1), (1, 2), ((0, 0), (1, 1)))
    assert y.ravel().tolist() == [210, 432]
    assert dx.ravel().tolist() == [10, 102, 20, 200]
    assert dkernel.ravel().tolist() == [4, 7, 10]
    assert random_cases.error(y + 4.32, y) == pytest.approx(1e-2)
    assert random_cases.misplaced(np.array([np.nan, 1, -np.inf]), np.array([np.nan, np.inf, np.inf])) == 2
