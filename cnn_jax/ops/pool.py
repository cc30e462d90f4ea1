"""Pooling: each group of neighbouring pixels is replaced by one representative value, its maximum or its average."""

from collections.abc import Sequence
from functools import reduce

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from cnn_jax.ops.columns import tap
from cnn_jax.ops.context import current
from cnn_jax.ops.geometry import Padding, Pair, PoolGeometry, explicit_padding, pair, positions
from cnn_jax.ops.max_pool_cpu import MOST_TAPS, max_pool_custom_vjp, xla_max_pool
from cnn_jax.ops.precision import sum_dtype, widened


def max_pool(
    x: Float[Array, "n h w c"],
    window: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    *,
    ceil_mode: bool = False,
) -> Float[Array, "n h_out w_out c"]:
    """Keep the largest value of each window; the gradient goes to the first largest one.

    Args:
      x: images, channels last.
      window: one number or (height, width).
      strides: pixels between two windows; None is the window itself, so that windows tile the image.
      padding: as in `conv2d`; the padding never wins.
      ceil_mode: also keep a last window that hangs over the padded image's edge, provided that it starts inside the
        image or its leading padding (PyTorch's rule).

    Returns:
      The pooled maps, in the images' dtype.

    Raises:
      ValueError: when a window does not fit or would see nothing but padding.

    Example:
      >>> import jax.numpy as jnp
      >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1), 2)[0, :, :, 0]
      Array([[ 5.,  7.],
             [13., 15.]], dtype=float32)
    """
    window, strides, pads, overhang = _frame(x, window, strides, padding, ceil_mode, "max_pool")
    if not current().on_cpu:
        pool = _plain_max_pool
    else:
        few = window[0] * window[1] <= MOST_TAPS
        pool = max_pool_custom_vjp if few and current().own_forms else xla_max_pool
    return pool(x, PoolGeometry(window, strides, _extend(pads, overhang)))


def avg_pool(
    x: Float[Array, "n h w c"],
    window: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    *,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Float[Array, "n h_out w_out c"]:
    """Average each window.

    Args:
      x: images, channels last.
      window, strides, padding, ceil_mode: as in `max_pool`.
      count_include_pad: divide by the window's size, padding included (PyTorch's and Flax's default); False divides
        by the number of image pixels in the window (TensorFlow's SAME). The overhang of `ceil_mode` never counts.

    Returns:
      The pooled maps, summed in float32 or wider, in the images' dtype.

    Raises:
      ValueError: when a window does not fit or would see nothing but padding.

    Example:
      >>> import jax.numpy as jnp
      >>> avg_pool(jnp.ones((1, 2, 2, 1)), 2, 1, padding=1)[0, 0, :, 0]
      Array([0.25, 0.5 , 0.25], dtype=float32)
    """
    window, strides, pads, overhang = _frame(x, window, strides, padding, ceil_mode, "avg_pool")
    wide = widened(x)
    zero, sides = np.array(0, wide.dtype), ((0, 0), *_extend(pads, overhang), (0, 0))
    total = lax.reduce_window(wide, zero, lax.add, (1, *window, 1), (1, *strides, 1), sides)
    rows, columns = (
        _counts(x.shape[1 + i], window[i], strides[i], pads[i], total.shape[1 + i], count_include_pad) for i in range(2)
    )
    counts = rows[:, None] * columns
    if np.all(counts == counts[0, 0]):
        return (total / jnp.array(counts[0, 0], wide.dtype)).astype(x.dtype)
    return (total / jnp.asarray(counts[None, :, :, None], wide.dtype)).astype(x.dtype)


def adaptive_avg_pool(x: Float[Array, "n h w c"], output_size: int | Sequence[int]) -> Float[Array, "n h_out w_out c"]:
    """Average to a fixed output size, whatever the image's: bin i of m covers floor(i n / m) to ceil((i + 1) n / m).

    Args:
      x: images, channels last.
      output_size: one number or (height, width); 1 is global average pooling.

    Returns:
      The bins' averages, summed in float32 or wider, in the images' dtype.

    Raises:
      ValueError: for sizes that are not positive.

    Source: PyTorch's `AdaptiveAvgPool2d`, whose bins overlap where the sizes do not divide.

    Example:
      >>> import jax.numpy as jnp
      >>> adaptive_avg_pool(jnp.arange(3.0).reshape(1, 1, 3, 1), (1, 2)).ravel()
      Array([0.5, 1.5], dtype=float32)
    """
    if x.ndim != 4:
        raise ValueError(f"`adaptive_avg_pool` needs images [n, h, w, c], got {x.shape}; one image is x[None].")
    bins = pair(output_size, "adaptive_avg_pool.output_size")
    if bins == x.shape[1:3]:
        return x
    wide = widened(x)
    rows, columns = (jnp.asarray(_bins(x.shape[1 + i], bins[i]), wide.dtype) for i in range(2))
    return jnp.einsum("ih,jw,nhwc->nijc", rows, columns, wide, precision=lax.Precision.HIGHEST).astype(x.dtype)


def global_avg_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n c"]:
    """The mean of each map over all its pixels, summed in float32 or wider, in the images' dtype.

    Example:
      >>> import jax.numpy as jnp
      >>> global_avg_pool(jnp.ones((1, 64, 64, 2), jnp.bfloat16))
      Array([[1, 1]], dtype=bfloat16)
    """
    if x.ndim != 4:
        raise ValueError(f"`global_avg_pool` needs images [n, h, w, c], got {x.shape}; one image is x[None].")
    return widened(x).mean((1, 2)).astype(x.dtype)


def _plain_max_pool(x: Array, geometry: PoolGeometry) -> Array:
    """Comparisons of shifted images, along the width and then along the height, for GPUs and TPUs; a NaN wins.

    XLA's own gradient of max pooling scatters; here neither form nor gradient does, and every mode of differentiation
    is JAX's own. On an H100, forward and backward in bfloat16 take 2.23 ms where XLA's take 2.40 (3×3/2 of
    256×112×112×64), and 2.58 ms where they take 3.39 (2×2/2 of 128×224×224×64). Widened, so that the gradients of
    overlapping windows add up wide.
    """
    wide = x.astype(sum_dtype(x))
    lowest = np.array(-np.inf, wide.dtype)
    padded = lax.pad(wide, lowest, ((0, 0, 0), *((low, high, 0) for low, high in geometry.pads), (0, 0, 0)))
    (rows, columns), (kh, kw), (sh, sw) = geometry.positions(x), geometry.window, geometry.strides
    height = padded.shape[1]
    across = reduce(_first_largest, (tap(padded, (0, b), (height, columns), (1, sw), (1, 1)) for b in range(kw)))
    down = reduce(_first_largest, (tap(across, (a, 0), (rows, columns), (sh, 1), (1, 1)) for a in range(kh)))
    return down.astype(x.dtype)


def _first_largest(a: Array, b: Array) -> Array:
    return jnp.where((a >= b) | jnp.isnan(a), a, b)


def _frame(
    x: Array,
    window: int | Sequence[int],
    strides: int | Sequence[int] | None,
    padding: Padding,
    ceil_mode: bool,
    name: str,
) -> tuple[Pair, Pair, tuple[Pair, Pair], Pair]:
    """Check the arguments; return window, strides, padding and the pixels that ceil mode adds (below, to the right)."""
    if x.ndim != 4:
        raise ValueError(f"`{name}` needs images [n, h, w, c], got {x.shape}; one image is x[None].")
    window = pair(window, f"{name}.window")
    strides = window if strides is None else pair(strides, f"{name}.strides")
    pads = explicit_padding(padding, x.shape[1:3], window, strides, (1, 1), f"{name}.padding")
    if any(side >= window[i] for i in range(2) for side in pads[i]):
        raise ValueError(
            f"`{name}.padding` must be smaller than the window {window}, got {pads}: a window needs a pixel."
        )
    if not ceil_mode or any(window[i] >= x.shape[1 + i] + sum(pads[i]) + strides[i] for i in range(2)):
        positions(x.shape[1:3], window, strides, pads, (1, 1), name)  # in ceil mode, a window hangs over by < a stride
    if not ceil_mode:
        return window, strides, pads, (0, 0)
    overhang = [_overhang(x.shape[1 + i], window[i], strides[i], pads[i]) for i in range(2)]
    return window, strides, pads, (overhang[0], overhang[1])


def _overhang(size: int, window: int, stride: int, pad: Pair) -> int:
    """Pixels by which the last window of ceil mode passes the padded edge; 0 when the windows fit exactly."""
    padded = size + sum(pad)
    outputs = -(-(padded - window) // stride) + 1
    if (outputs - 1) * stride >= size + pad[0]:
        outputs -= 1
    return max((outputs - 1) * stride + window - padded, 0)


def _extend(pads: tuple[Pair, Pair], overhang: Pair) -> tuple[Pair, Pair]:
    (top, bottom), (left, right) = pads
    return (top, bottom + overhang[0]), (left, right + overhang[1])


def _counts(size: int, window: int, stride: int, pad: Pair, outputs: int, include_pad: bool) -> np.ndarray:
    """How many pixels of one axis each window averages over."""
    start = np.arange(outputs) * stride - pad[0]
    lowest, highest = (-pad[0], size + pad[1]) if include_pad else (0, size)
    return np.minimum(start + window, highest) - np.maximum(start, lowest)


def _bins(size: int, bins: int) -> np.ndarray:
    """The [bins, size] matrix whose row i averages bin i."""
    i, pixel = np.arange(bins)[:, None], np.arange(size)
    inside = (pixel >= i * size // bins) & (pixel < -(-(i + 1) * size // bins))
    return inside / inside.sum(1, keepdims=True)
