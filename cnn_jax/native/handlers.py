"""The handlers that XLA calls: their names, and whether they compute what NumPy does, which a process asks once."""

import jax
import jax.numpy as jnp
import numpy as np

PREFIX = "cnn_jax_"
CONVOLUTIONS = ("Convolution", "ToImages", "ToFilters")
HANDLERS = (*CONVOLUTIONS, "Normalization", "NormalizationGradient", "MaxPoolGradient")


class Wrong(ArithmeticError):
    """The kernels computed something else than they should."""


def check() -> None:
    """Raises `Wrong` where a handler is not right."""
    _check_convolutions()
    _check_layers()


def _check_convolutions() -> None:
    """A small convolution and its gradients, as sums over its taps."""
    rng = np.random.default_rng(0)
    x, kernel, g = (
        rng.integers(-3, 4, shape).astype("float32") for shape in ((2, 7, 7, 9), (3, 3, 9, 17), (2, 4, 4, 17))
    )
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y, dx, dkernel = np.zeros(g.shape), np.zeros(padded.shape), np.zeros(kernel.shape)
    for a, b in np.ndindex(3, 3):
        seen = (slice(None), slice(a, a + 7, 2), slice(b, b + 7, 2))
        y += padded[seen] @ kernel[a, b]
        dx[seen] += g @ kernel[a, b].T
        dkernel[a, b] = np.tensordot(padded[seen], g, ((0, 1, 2), (0, 1, 2)))
    expected = y, dx[:, 1:-1, 1:-1], dkernel
    moves = {name: np.int64(value) for name, value in dict(sh=2, sw=2, top=1, left=1).items()}
    # Sums of small integers are exact in float32, and in bfloat16 rounded once.
    for dtype in (np.dtype("float32"), jnp.bfloat16.dtype):
        for handler, arrays, sums in zip(CONVOLUTIONS, ((x, kernel), (g, kernel), (x, g)), expected, strict=True):
            kernel_call = jax.ffi.ffi_call(PREFIX + handler, jax.ShapeDtypeStruct(sums.shape, dtype))
            with jax.default_device(jax.local_devices(backend="cpu")[0]):
                found = kernel_call(*(array.astype(dtype) for array in arrays), **moves)
            if not np.array_equal(found, sums.astype(dtype)):
                raise Wrong(f"{handler} of {dtype} differs from NumPy's")


def _check_layers() -> None:
    """A small normalisation and max pooling, and their gradients."""
    rng = np.random.default_rng(0)
    x, g, shortcut = rng.normal(size=(3, 2, 6, 8, 9)).astype("float32")
    scale, bias, g_mean, g_var = rng.normal(size=(4, 9)).astype("float32")
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    z, r, count = x - mean, 1 / np.sqrt(var + 0.5), x.size / 9
    y = np.maximum(z * r * scale + bias + shortcut, 0)
    passed = g * (y > 0)
    dscale, dbias = r * (passed * z).sum((0, 1, 2)), passed.sum((0, 1, 2))
    dx = scale * r * (passed - dbias / count - z * r * dscale / count) + g_mean / count + 2 * z * g_var / count
    windows = x.reshape(2, 3, 2, 4, 2, 9)
    largest = windows.max((2, 4), keepdims=True)
    moves = {name: np.int64(value) for name, value in dict(kh=2, kw=2, sh=2, sw=2, top=0, left=0).items()}
    epsilon = {"epsilon": np.float32(0.5)}
    for handler, arrays, expected, attributes in (
        ("Normalization", (x, scale, bias, shortcut), (y, mean, var), epsilon | {"relu": np.int64(1)}),
        (
            "NormalizationGradient",
            (g, g_mean, g_var, x, scale, bias, mean, var, y),
            (dx, dscale, dbias, passed),
            epsilon,
        ),
        (
            "MaxPoolGradient",
            (largest.reshape(2, 3, 4, 9), x),
            (np.where(windows == largest, largest, 0).reshape(x.shape),),
            moves,
        ),
    ):
        results = [jax.ShapeDtypeStruct(true.shape, np.float32) for true in expected]
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            found = jax.ffi.ffi_call(PREFIX + handler, results)(*arrays, **attributes)
        if not all(np.allclose(*pair, atol=1e-4) for pair in zip(found, expected, strict=True)):
            raise Wrong(f"{handler} differs from NumPy's")
