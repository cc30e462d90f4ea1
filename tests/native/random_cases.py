"""Random cases of the kernels, run and compared: what the programs of convolutions and of other layers share.

A program prints the threads that XLA has for one operation, a line for each case and dtype, and "done". A line holds
the case's number, the dtype, a digest of the bits of values and gradients, and the case; with `check` also the largest
errors against loops in float64, relative to the largest value, and how many numbers of all are NaN or infinite and
should not be, or the other way round, with one such number or two among the arguments. A process of its own, because
the number of threads is fixed once JAX has started.
"""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

DTYPES = ("float32", "bfloat16")
AT_ONCE = 25  # cases in one program, which is compiled as fast as a program of one


class Cases(NamedTuple):
    """Functions of a case's number."""

    arguments: Callable[..., list[Any]]  # (i, dtype)
    kernels: Callable[..., Any]  # (i, *arguments), the values and gradients by the kernels
    loops: Callable[..., Any]  # the same in float64
    text: Callable[..., str]  # (i, arguments)
    least: Callable[..., list[float]]  # (i, arguments), of each value what its errors are relative to, at least
    seed: int


def no_form(*_):
    raise AssertionError("the pure JAX form was traced in place of the kernel")


def spoiled(seed, i, arrays):
    """The same with a NaN or an infinity in one array, and every other time with another of the other sign."""
    rng, arrays = np.random.default_rng([seed, i]), [array.copy() for array in arrays]
    array, value = arrays[rng.integers(len(arrays))], rng.choice([np.nan, np.inf, -np.inf])
    for sign in (1, -1)[: rng.integers(1, 3)]:
        if array.size:
            array.reshape(-1)[rng.integers(array.size)] = sign * value
    return arrays


def error(found, true, least=0.0):
    """The largest, relative to the largest true value or `least`; NaN where all should be zeros and are not."""
    if not np.any(true):
        return np.nan if np.any(found) else 0.0
    return np.abs(np.asarray(found, np.float64) - true).max() / max(np.abs(true).max(), least)


def misplaced(found, true):
    """How many are NaN or an infinity on one side, and something else on the other."""
    kinds = [np.select([np.isnan(a), np.isposinf(a), np.isneginf(a)], [1, 2, 3]) for a in (found, true)]
    return int((kinds[0] != kinds[1]).sum())


def threads():
    """How many XLA has for one operation, by their name."""
    jax.devices()
    return sum("XLAEigen" in path.read_text() for path in Path("/proc/self/task").glob("*/comm"))


def run(cases, indices, check):
    drawn = [(i, dtype) for i in indices for dtype in DTYPES]
    inputs = [cases.arguments(*case) for case in drawn]
    program = jax.jit(lambda inputs: [cases.kernels(i, *a) for (i, _), a in zip(drawn, inputs, strict=True)])
    compiled = program.lower(inputs).compile()

    def found(inputs):  # bfloat16 as the float32 that holds it
        return [[np.asarray(value, np.float32) for value in values] for values in compiled(inputs)]

    first, again = found(inputs), found(inputs)
    bad = [spoiled(cases.seed, i, arrays) for (i, _), arrays in zip(drawn, inputs, strict=True)]
    beside = found(bad) if check else first
    for (i, dtype), *rest in zip(drawn, inputs, first, again, bad, beside, strict=True):
        arrays, values, twice, bad_arrays, bad_values = rest
        bits = [b"".join(value.tobytes() for value in each) for each in (values, twice)]
        digest = hashlib.sha256(bits[0]).hexdigest()[:16] if bits[0] == bits[1] else "other bits the second time"
        row = [i, dtype, digest, cases.text(i, arrays)]
        if check:
            true = cases.loops(i, *arrays)
            row += [f"{error(*each):.1e}" for each in zip(values, true, cases.least(i, arrays), strict=True)]
            with np.errstate(all="ignore"):
                true = cases.loops(i, *bad_arrays)
            row += [sum(misplaced(*pair) for pair in zip(bad_values, true, strict=True))]
        print(*row, sep="\t")


def main(cases):
    print(threads())
    first, count = map(int, sys.argv[1:3])
    for start in range(first, first + count, AT_ONCE):
        run(cases, range(start, min(start + AT_ONCE, first + count)), "check" in sys.argv)
    print("done")
