"""Random operations in one compiled step, against loops: `python sweep.py KIND DTYPE IMPLEMENTATION FIRST COUNT`.

KIND is convolutions or others. A process of its own, because a program that the compiler gets wrong may end it. Case i
is a function of (KIND, i). Prints one line for each: its number, the largest error of value and gradients in roundings
of the dtype, relative to what was added up, and the case; and "done" at the end.
"""

import math
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import references

from cnn_jax import ops
from cnn_jax.modules import GroupNorm
from cnn_jax.parallel.compile import compile_step

EPSILON = 1e-5


def convolution(rng):
    """The images' and the kernel's shape, and the other arguments of `conv2d`."""

    def pair(low, high):
        return int(rng.integers(low, high + 1)), int(rng.integers(low, high + 1))

    kernel, strides = pair(1, 5) if rng.random() < 0.8 else pair(1, 9), pair(1, 5)
    dilation = (1, 1) if rng.random() < 0.5 else pair(1, 3)
    pads = ((0, 0), (0, 0)) if rng.random() < 0.2 else (pair(0, 4), pair(0, 4))
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    size = []
    for i in range(2):
        least = max(1, (kernel[i] - 1) * dilation[i] + 1 - sum(pads[i]))
        size.append(least if rng.random() < 0.25 else least + int(rng.integers(0, 13)))
    c, o = (1 if rng.random() < 0.25 else int(rng.integers(1, 9)) for _ in range(2))
    n = 0 if rng.random() < 0.04 else int(rng.integers(1, 5))
    how = {"strides": strides, "padding": pads, "dilation": dilation, "groups": groups}
    return (n, *size, c * groups), (*kernel, c, o * groups), how


def convolve(rng, dtype):
    """A case's text, its function, its arguments, and the true results beside the sums of absolute products."""
    image, kernel, how = convolution(rng)
    x, k = (np.asarray(jnp.asarray(rng.normal(size=s), dtype), np.float64) for s in (image, kernel))
    f = partial(ops.conv2d, **how)
    rest = tuple(how.values())
    y = references.conv2d(x, k, *rest)
    g = np.asarray(jnp.asarray(rng.normal(size=y.shape), dtype), np.float64)
    size = references.conv2d(abs(x), abs(k), *rest), *references.conv2d(abs(x), abs(k), *rest, abs(g))
    true = y, *references.conv2d(x, k, *rest, g)
    return f"{image} by {kernel} {how}", f, (x, k), g, list(zip(true, size, strict=True))


def pool_or_norm(rng, dtype):
    """As `convolve`, for pooling, means, biases and normalisations; every other time behind a convolution."""
    n, h, w, c = (int(rng.integers(1, m)) for m in (5, 14, 14, 9))
    n = max(n, 2) if h == w == 1 else n  # one value has no variance
    if rng.random() < 0.5:
        # Small integers: what the convolution puts out, at most 146, is exact in every dtype.
        x, k = rng.integers(-2, 3, (n, h, w, c)), rng.integers(-1, 2, (3, 3, c, c))
        return behind_a_convolution(x / 1.0, k / 1.0, partial(operation, rng, dtype))
    return operation(rng, dtype, np.asarray(jnp.asarray(rng.normal(0.3, 1, size=(n, h, w, c)), dtype), np.float64))


def behind_a_convolution(x, k, operation):
    """The operation on relu(conv2d(x, k) + x), as in a residual block: there compilers fuse, and one read too far."""
    how = (1, 1), ((1, 1), (1, 1)), (1, 1), 1
    before = references.conv2d(x, k, *how) + x
    text, f, (_, *rest), g, (value, (dx, size), *gradients) = operation(np.maximum(before, 0))
    dx, size = dx * (before > 0), size * (before > 0)
    (to_x, to_k), sizes = references.conv2d(x, k, *how, dx), references.conv2d(abs(x), abs(k), *how, size)
    behind = lambda x, k, *rest: f(jax.nn.relu(ops.conv2d(x, k) + x), *rest)  # noqa: E731
    true = [value, (to_x + dx, sizes[0] + size), (to_k, sizes[1]), *gradients]
    return f"{text} behind a convolution", behind, (x, k, *rest), g, true


def operation(rng, dtype, x):
    """A case of these images."""
    _, h, w, c = x.shape
    draw = lambda *shape: np.asarray(jnp.asarray(rng.normal(0.3, 1, size=shape), dtype), np.float64)  # noqa: E731
    kind = rng.choice(["max", "average", "average_of_pixels", "adaptive", "mean", "bias", "norm", "group_norm", "lrn"])
    if kind in ("max", "average", "average_of_pixels"):
        window = tuple(int(rng.integers(1, s + 1)) for s in (h, w))
        pads = tuple(tuple(int(rng.integers(0, k)) for _ in range(2)) for k in window)
        strides, ceil = tuple(int(rng.integers(1, 5)) for _ in range(2)), bool(rng.integers(2))
        how = {"window": window, "strides": strides, "padding": pads, "ceil_mode": ceil}
        f = partial(ops.max_pool, **how)
        if kind != "max":
            f = partial(ops.avg_pool, **how, count_include_pad=kind == "average")
        loops = partial(references.pool, window=window, strides=strides, pads=pads, ceil_mode=ceil, kind=kind)
    elif kind in ("adaptive", "mean"):
        bins = tuple(int(rng.integers(1, s + 1)) for s in (h, w)) if kind == "adaptive" else (1, 1)
        how = {"bins": bins}
        f = (lambda x: ops.adaptive_avg_pool(x, bins)) if kind == "adaptive" else ops.global_avg_pool
        loops = partial(references.adaptive_average, bins=bins)
    elif kind == "bias":
        b = draw(c)
        g = draw(*x.shape)
        sums = (x + b, abs(x) + abs(b)), (g, abs(g)), (g.sum((0, 1, 2)), abs(g).sum((0, 1, 2)))
        return f"bias {x.shape}", ops.add_bias, (x, b), g, list(sums)
    elif kind == "lrn":
        size, g = int(rng.integers(1, 6)), draw(*x.shape)
        how = {"size": size, "alpha": 0.1, "beta": 0.75, "k": 2.0}
        y, dx = references.local_response_norm(x, **how), references.local_response_norm_gradient(x, **how, cotangent=g)
        most = references.local_response_norm_gradient(abs(x), **how, cotangent=abs(g), sign=1)
        return f"lrn {x.shape} {how}", partial(ops.local_response_norm, **how), (x,), g, [(y, abs(y)), (dx, most)]
    elif kind == "group_norm":
        return group_normalisation(x, draw, int(rng.integers(1, c + 1)))
    else:
        return normalisation(x, draw)
    y = loops(x)
    g = draw(*y.shape)
    size = (abs(y) if kind == "max" else loops(abs(x))), loops(x if kind == "max" else abs(x), cotangent=abs(g))
    if kind == "mean":
        return (
            f"mean {x.shape}",
            f,
            (x,),
            g[:, 0, 0],
            [(y[:, 0, 0], size[0][:, 0, 0]), (loops(x, cotangent=g), size[1])],
        )
    return f"{kind} {x.shape} {how}", f, (x,), g, [(y, size[0]), (loops(x, cotangent=g), size[1])]


def group_normalisation(x, draw, groups):
    """`GroupNorm`: as `batch_norm` of one example and one group at a time."""
    (n, h, w, c), scale, bias, g = x.shape, draw(x.shape[-1]), draw(x.shape[-1]), draw(*x.shape)
    groups = math.gcd(groups, c)

    def f(x, scale, bias):
        wide = {"scale": scale.astype(jnp.float32), "bias": bias.astype(jnp.float32)}
        return GroupNorm(groups).apply({"params": wide}, x)

    def split(a):  # [c / groups ... c] to a column for each group of each example, of h w c / groups values
        return np.broadcast_to(a, x.shape).reshape(n, h * w, groups, -1).transpose(1, 3, 0, 2).reshape(-1, n * groups)

    def join(a):
        return a.reshape(h * w, -1, n, groups).transpose(2, 0, 3, 1).reshape(x.shape)

    results = true_normalisation(split(x), split(scale), split(bias), split(g))
    y, dx, dscale, dbias = [tuple(map(join, pair)) for pair in results]
    sums = [tuple(part.sum((0, 1, 2)) for part in pair) for pair in (dscale, dbias)]
    return f"group_norm {x.shape} {groups}", f, (x, scale, bias), g, [y, dx, *sums]


def true_normalisation(x, scale, bias, g):
    """The pairs (true, sum of absolute values) of columns [values, c], in float64.

    Of y, of dx, and of each value's share of the gradients to scale and bias.
    """
    mean, var = x.mean(0), x.var(0)
    r = 1 / np.sqrt(var + EPSILON)
    z, away = (x - mean) * r, (abs(x) + abs(mean)) * r
    slope, size = scale * g, abs(scale * g)
    dx = r * (slope - slope.mean(0) - z * (slope * z).mean(0))
    sizes = r * (size + size.mean(0) + away * (size * away).mean(0))
    return (z * scale + bias, away * abs(scale) + abs(bias)), (dx, sizes), (g * z, abs(g) * away), (g, abs(g))


def normalisation(x, draw):
    """`batch_norm` in training: gradients to the activations, the scale and the bias."""
    c = x.shape[-1]
    # Parameters have the dtype of the sums; drawn in the other one, they are numbers of both.
    scale, bias, g = draw(c), draw(c), draw(*x.shape)
    zero, one = jnp.zeros(c, jnp.float32), jnp.ones(c, jnp.float32)

    def f(x, scale, bias):
        wide = scale.astype(jnp.float32), bias.astype(jnp.float32)
        return ops.batch_norm(x, *wide, zero, one, train=True, epsilon=EPSILON)[0]

    results = true_normalisation(*(np.broadcast_to(a, x.shape).reshape(-1, c) for a in (x, scale, bias, g)))
    y, dx = [tuple(part.reshape(x.shape) for part in pair) for pair in results[:2]]
    sums = [tuple(part.sum(0) for part in pair) for pair in results[2:]]
    return f"norm {x.shape}", f, (x, scale, bias), g, [y, dx, *sums]


def main(kind, dtype, choice, first, count):
    make = {"convolutions": convolve, "others": pool_or_norm}[kind]
    cases = [make(np.random.default_rng([len(kind), i]), dtype) for i in range(first, first + count)]

    def step(inputs):
        results = []
        for (_, f, *_), (arguments, g) in zip(cases, inputs, strict=True):
            y, pull = jax.vjp(f, *arguments)
            results.append((y, *pull(g)))
        return results

    inputs = [
        (tuple(jnp.asarray(a, dtype) for a in arguments), jnp.asarray(g, dtype)) for _, _, arguments, g, _ in cases
    ]
    with ops.context(conv=choice):
        lowered = jax.jit(step).lower(inputs)
    results = compile_step(lowered)(inputs)
    rounding, least = float(jnp.finfo(dtype).eps) / 2, float(jnp.finfo(dtype).smallest_subnormal)
    for i, ((text, *_, expected), found) in enumerate(zip(cases, results, strict=True), first):
        worst = 0.0
        for (true, size), ours in zip(expected, found, strict=True):
            assert ours.shape == true.shape and ours.dtype == dtype, (text, ours.shape, ours.dtype)
            error = np.abs(np.asarray(ours, np.float64) - true) / (rounding * size + least)
            worst = max(worst, float(np.nan_to_num(error, nan=np.inf).max(initial=0)))
        print(f"{i}\t{worst:.3g}\t{text}", flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
