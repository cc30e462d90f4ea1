"""Random normalisations and poolings by the native kernels, in a process and with output as of `random_cases.py`.

`NPROC=THREADS python layer_cases.py FIRST COUNT [check]`. Even cases are batch normalisation in training, every other
one with a shortcut, or a ReLU, or both; odd ones are max pooling. With `check`, errors are of value and gradient: of
y, mean, variance and the gradients to x, scale, bias and shortcut, or of a pool's maps and their gradient.
"""

import itertools

import jax.numpy as jnp
import numpy as np
from random_cases import Cases, main, no_form

from cnn_jax.native.normalization import normalization, normalization_gradient
from cnn_jax.native.pooling import max_pool_gradient
from cnn_jax.ops import max_pool

MOST_NUMBERS = 1 << 17  # of a case
NEAR = 1e-4  # of the largest number: so near to zero, a ReLU may let pass or not


def draw(i):
    """The images' shape, and how they are normalised or pooled: (epsilon, shortcut, relu), (window, strides, pads)."""
    rng = np.random.default_rng([17, i])
    while True:
        c = int(np.exp(rng.uniform(0, np.log(601))))
        if i % 2 == 0:
            shape = (*(int(rng.integers(1, most)) for most in (7, 20, 20)), c)
            # Of fewer values than these, the gradient to x is a difference of nearly equal numbers.
            if np.prod(shape[:3]) >= 8 and np.prod(shape) <= MOST_NUMBERS:
                return shape, (float(rng.choice([1e-5, 1e-3])), bool(i & 2), bool(i & 4))
        else:
            window, strides = ([int(rng.integers(1, most)) for _ in range(2)] for most in (6, 5))
            pads = [[int(rng.integers(0, size)) for _ in range(2)] if rng.random() < 0.6 else [0, 0] for size in window]
            size = [max(1, window[k] - sum(pads[k])) + int(rng.integers(0, 20)) for k in range(2)]
            shape = (int(rng.integers(0, 6)), *size, c)
            if np.prod(shape) <= MOST_NUMBERS:
                return shape, (tuple(window), tuple(strides), tuple(map(tuple, pads)))


def places_of(shape, window, strides, pads):
    return tuple((shape[1 + k] + sum(pads[k]) - window[k]) // strides[k] + 1 for k in range(2))


def arguments(i, dtype):
    """x, scale, bias, g, g_mean, g_var and, if any, the shortcut; or x and g of a pool."""
    shape, how = draw(i)
    rng = np.random.default_rng([18, i])
    if i % 2 == 0:
        _, shortcut, relu = how
        center, spread = rng.uniform(1, 3, shape[-1]) * rng.choice([-1, 1], shape[-1]), rng.uniform(0.5, 3, shape[-1])
        x, g, around = (rng.normal(size=shape).astype(jnp.dtype(dtype)) for _ in range(3))
        x = (center + spread * x.astype(float)).astype(x.dtype)
        scale, bias, g_mean, g_var = rng.normal(size=(4, shape[-1])).astype(np.float32)
        arrays = [x, scale, bias, g, g_mean, g_var, *[around] * shortcut]
        if relu:
            before = normalized(how, *arrays)[0]
            g[np.abs(before) < NEAR * np.abs(before).max()] = 0
        return arrays
    x = rng.normal(size=shape) if i % 4 == 1 else rng.integers(-2, 3, shape)  # every other time with ties
    return [a.astype(jnp.dtype(dtype)) for a in (x, rng.normal(size=(shape[0], *places_of(shape, *how), shape[3])))]


def normalized(how, x, scale, bias, g, g_mean, g_var, *shortcut):
    """Before the ReLU, mean and variance, all in float64."""
    x, scale, bias, *shortcut = (a.astype(np.float64) for a in (x, scale, bias, *shortcut))
    mean = x.mean((0, 1, 2))
    var = np.square(x - mean).mean((0, 1, 2))
    return (x - mean) * (scale / np.sqrt(var + how[0])) + bias + sum(shortcut), mean, var


def loops_of_norm(how, *arrays):
    """In float64: y, mean, variance, and the gradients to x, scale, bias and shortcut."""
    epsilon, shortcut, relu = how
    before, mean, var = normalized(how, *arrays)
    x, scale, _, g, g_mean, g_var = (a.astype(np.float64) for a in arrays[:6])
    if relu:
        g = np.where(before > 0, g, 0)
    z, r, count = x - mean, 1 / np.sqrt(var + epsilon), x.size / x.shape[-1]
    dbias, dscale = g.sum((0, 1, 2)), r * (g * z).sum((0, 1, 2))
    slope = (2 * g_var - scale * r * r * dscale) / count
    dx = scale * r * g + slope * z + (g_mean - scale * r * dbias) / count
    y = np.where(before < 0, 0, before) if relu else before
    return [y, mean, var, dx, dscale, dbias, *[g] * (shortcut and relu)]


def kernels_of_norm(how, x, scale, bias, g, g_mean, g_var, *shortcut):
    epsilon, added, relu = how
    y, mean, var = normalization(no_form, x, scale, bias, *(shortcut or [None]), epsilon, relu)
    saved = (x, scale, bias, mean, var, *[y] * relu)
    gradients = normalization_gradient(no_form, g, g_mean, g_var, *saved, epsilon=epsilon, shortcut=added and relu)
    return [y, mean, var, *gradients]


def loops_of_pool(how, x, g):
    """Maps and gradient in float64, tap by tap; the first largest wins, a NaN over all, the padding over nothing."""
    (kh, kw), (sh, sw), pads = how
    rows, columns = g.shape[1:3]
    padded = np.pad(x.astype(np.float64), ((0, 0), *pads, (0, 0)), constant_values=-np.inf)
    best, winner = np.full(g.shape, -np.inf), np.zeros(g.shape, int)

    def seen(array, a, b):
        return array[:, a : a + (rows - 1) * sh + 1 : sh, b : b + (columns - 1) * sw + 1 : sw]

    taps = list(itertools.product(range(kh), range(kw)))
    for number, (a, b) in enumerate(taps):
        better = ~(seen(padded, a, b) <= best) & ~np.isnan(best)
        best, winner = np.where(better, seen(padded, a, b), best), np.where(better, number, winner)
    dx = np.zeros(padded.shape)
    for number, (a, b) in enumerate(taps):
        won = seen(dx, a, b)
        won += np.where(winner == number, g.astype(np.float64), 0)
    (top, _), (left, _) = pads
    return [best, dx[:, top : top + x.shape[1], left : left + x.shape[2]]]


def kernels_of_pool(how, x, g):
    return [max_pool(x, *how), max_pool_gradient(no_form, g, x, *how)]


def of_case(functions):
    """A function for even cases and one for odd, as one of a case's number and its arrays."""
    return lambda i, *arrays: functions[i % 2](draw(i)[1], *arrays)


def text(i, arrays):
    return f"{arrays[0].shape}, {draw(i)[1]}"


def least(i, arrays):
    """Of dscale and dbias, what such sums come to: in one channel all their terms may cancel."""
    if i % 2:
        return [0.0] * 2
    _, shortcut, relu = draw(i)[1]
    sums = np.sqrt(np.square(arrays[3].astype(float)).sum((0, 1, 2)).max())
    return [0.0] * 4 + [sums] * 2 + [0.0] * (shortcut and relu)


LOOPS, KERNELS = (loops_of_norm, loops_of_pool), (kernels_of_norm, kernels_of_pool)
CASES = Cases(arguments, of_case(KERNELS), of_case(LOOPS), text, least, seed=19)

if __name__ == "__main__":
    main(CASES)
