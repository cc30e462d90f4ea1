"""Random convolutions by the native kernels: `NPROC=THREADS python convolution_cases.py FIRST COUNT [check]`.

Case i is a function of i alone. Prints the threads that XLA has for one operation, a line for each case and dtype, and
"done". A line holds the case's number, the dtype, a digest of the bits of value and gradients, and the case; with
`check` also, of value and both gradients, the largest error against loops in float64, relative to the largest value,
and how many numbers of all are NaN or infinite and should not be, or the other way round, with one such number or two
among the arguments. A process of its own, because the number of threads is fixed once JAX has started.
"""

import hashlib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.native.convolution import convolution, to_filters, to_images

DTYPES = ("float32", "bfloat16")
MOST_PRODUCTS = 1 << 23  # of a case, so that thousands of them take minutes
AT_ONCE = 25  # cases in one program, which is compiled as fast as a program of one


def draw(i):
    """The images' and the kernel's shape, strides and padding of case i."""
    rng = np.random.default_rng([7, i])
    while True:
        kernel = [int(rng.integers(1, 12)) if rng.random() < 0.3 else int(rng.integers(1, 6)) for _ in range(2)]
        strides = [int(rng.integers(1, 5)) for _ in range(2)]
        # Every other time no padding, so that bands are the image itself; seldom more than the kernel.
        reach = [size + 2 if rng.random() < 0.2 else size for size in kernel]
        pads = [[int(rng.integers(0, most)) for _ in range(2)] if rng.random() < 0.5 else [0, 0] for most in reach]
        size = []
        for i in range(2):
            least = max(1, kernel[i] - sum(pads[i]))
            size.append(least if rng.random() < 0.2 else least + int(rng.integers(0, 20)))
        # From one to hundreds of channels, the few more often.
        c, o = (int(np.exp(rng.uniform(0, np.log(601)))) for _ in range(2))
        n = int(rng.integers(0, 6))
        places = [(size[i] + sum(pads[i]) - kernel[i]) // strides[i] + 1 for i in range(2)]
        if n * np.prod(places) * np.prod(kernel) * c * o <= MOST_PRODUCTS:
            return (n, *size, c), (*kernel, c, o), tuple(strides), tuple(map(tuple, pads))


def places_of(image, kernel, strides, pads):
    return tuple((image[1 + i] + sum(pads[i]) - kernel[i]) // strides[i] + 1 for i in range(2))


def loops(x, kernel, g, strides, pads):
    """The value and both gradients in float64, tap by tap.

    The gradient to the images is taken tap by tap, too, with zeros where a tap meets no place: it is the convolution of
    g with the flipped kernel, in which a kernel's NaN meets the padding of g as it meets that of the images forward.
    """
    x, kernel, g = (np.asarray(array, np.float64) for array in (x, kernel, g))
    (h, w), (ho, wo), (sh, sw), ((top, bottom), (left, right)) = x.shape[1:3], g.shape[1:3], strides, pads
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    y, dx, dkernel = np.zeros(g.shape), np.zeros(x.shape), np.zeros(kernel.shape)
    for a, b in np.ndindex(*kernel.shape[:2]):
        seen = padded[:, a : a + (ho - 1) * sh + 1 : sh, b : b + (wo - 1) * sw + 1 : sw]
        y += seen @ kernel[a, b]
        dkernel[a, b] = np.einsum("nijc,nijo->co", seen, g, optimize=True)
        # Pixels r with r + top = a + i * stride for an integer i, whether or not there is a place i.
        first_row, first_column = (a - top) % sh, (b - left) % sw
        rows, columns = np.arange(first_row, h, sh), np.arange(first_column, w, sw)
        i, j = (rows + top - a) // sh, (columns + left - b) // sw
        there = ((i >= 0) & (i < ho))[:, None] & ((j >= 0) & (j < wo))
        met = np.where(there[:, :, None], g[:, np.clip(i, 0, ho - 1)][:, :, np.clip(j, 0, wo - 1)], 0)
        dx[:, first_row::sh, first_column::sw] += met @ kernel[a, b].T
    return y, dx, dkernel


def no_form(*_):
    raise AssertionError("the pure JAX form was traced in place of the kernel")


def kernels(x, kernel, g, strides, pads):
    """The value and both gradients by the kernels, and by nothing else."""
    size, window = x.shape[1:3], kernel.shape[:2]
    return (
        convolution(no_form, x, kernel, g.shape[1:3], strides, pads),
        to_images(no_form, g, kernel, size, strides, pads),
        to_filters(no_form, x, g, window, strides, pads),
    )


def arguments(i, dtype):
    """The images, the kernel and the gradient of case i."""
    image, kernel, strides, pads = draw(i)
    shapes = image, kernel, (image[0], *places_of(image, kernel, strides, pads), kernel[3])
    rng = np.random.default_rng([8, i])
    return [rng.normal(size=shape).astype(jnp.dtype(dtype)) for shape in shapes]


def spoiled(i, arrays):
    """The same with a NaN or an infinity in one of the three, and every other time with another of the other sign."""
    rng, arrays = np.random.default_rng([9, i]), [array.copy() for array in arrays]
    array, value = arrays[rng.integers(3)], rng.choice([np.nan, np.inf, -np.inf])
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


def run(indices, check):
    cases = [(i, dtype) for i in indices for dtype in DTYPES]
    inputs = [arguments(*case) for case in cases]
    moves = [draw(i)[2:] for i, _ in cases]
    program = jax.jit(lambda inputs: [kernels(*arrays, *move) for arrays, move in zip(inputs, moves, strict=True)])
    compiled = program.lower(inputs).compile()

    def found(inputs):  # bfloat16 as the float32 that holds it
        return [[np.asarray(value, np.float32) for value in three] for three in compiled(inputs)]

    first, again = found(inputs), found(inputs)
    bad = [spoiled(i, arrays) for (i, _), arrays in zip(cases, inputs, strict=True)]
    beside = found(bad) if check else first
    for (i, dtype), move, *rest in zip(cases, moves, inputs, first, again, bad, beside, strict=True):
        arrays, values, twice, bad_arrays, bad_values = rest
        bits = [b"".join(value.tobytes() for value in three) for three in (values, twice)]
        digest = hashlib.sha256(bits[0]).hexdigest()[:16] if bits[0] == bits[1] else "other bits the second time"
        row = [i, dtype, digest, f"{arrays[0].shape} by {arrays[1].shape}, {move}"]
        if check:
            row += [f"{error(*pair):.1e}" for pair in zip(values, loops(*arrays, *move), strict=True)]
            with np.errstate(invalid="ignore"):
                true = loops(*bad_arrays, *move)
            row += [sum(misplaced(*pair) for pair in zip(bad_values, true, strict=True))]
        print(*row, sep="\t")


if __name__ == "__main__":
    print(threads())
    first, count = map(int, sys.argv[1:3])
    for start in range(first, first + count, AT_ONCE):
        run(range(start, min(start + AT_ONCE, first + count)), "check" in sys.argv)
    print("done")
