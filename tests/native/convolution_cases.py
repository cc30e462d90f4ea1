"""Random convolutions by the native kernels: `NPROC=THREADS python convolution_cases.py FIRST COUNT [check]`.

Case i is a function of i alone. `random_cases.py` says what is printed; errors are of value and both gradients.
"""

import jax.numpy as jnp
import numpy as np
from random_cases import Cases, main, no_form

from cnn_jax.native.convolution import convolution, to_filters, to_images

MOST_PRODUCTS = 1 << 23  # of a case, so that thousands of them take minutes


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


def of_case(function):
    """The function of arrays, strides and pads as one of a case's number and its arrays."""
    return lambda i, *arrays: function(*arrays, *draw(i)[2:])


def text(i, arrays):
    return f"{arrays[0].shape} by {arrays[1].shape}, {draw(i)[2:]}"


CASES = Cases(arguments, of_case(kernels), of_case(loops), text, least=lambda *_: [0.0] * 3, seed=9)

if __name__ == "__main__":
    main(CASES)
