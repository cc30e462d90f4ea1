"""im2col, image to column: the unrolling that turns a convolution into one matrix product."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from cnn_jax.ops.geometry import Padding, Pair, explicit_padding, pair, positions, span
from cnn_jax.ops.precision import sum_dtype


def im2col(
    x: Float[Array, "n h w c"],
    window: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
) -> Float[Array, "n h_out w_out taps_c"]:
    """Lay the patch under every place of a window out as one row, in the order (kernel row, kernel column, channel).

    So a convolution is a matrix product: `im2col(x, (kh, kw)) @ kernel.reshape(-1, o)` is `conv2d(x, kernel)` with the
    same strides, padding and dilation. The price is memory: every pixel is copied kh * kw times.

    Args:
      x: images, channels last.
      window: taps of the window; one number or (height, width).
      strides, padding, dilation: as in `conv2d`; pixels outside the image are zero.

    Returns:
      The patches, `kh * kw * c` numbers each.

    Raises:
      ValueError: when the window does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> im2col(jnp.arange(9.0).reshape(1, 3, 3, 1), 2)[0, 0, 0]
      Array([0., 1., 3., 4.], dtype=float32)
    """
    if x.ndim != 4:
        raise ValueError(f"`im2col` needs images [n, h, w, c], got {x.shape}; one image is x[None].")
    window, strides = pair(window, "im2col.window"), pair(strides, "im2col.strides")
    dilation, size = pair(dilation, "im2col.dilation"), x.shape[1:3]
    pads = explicit_padding(padding, size, window, strides, dilation, "im2col.padding")
    out = positions(size, window, strides, pads, dilation, "im2col")
    padded = wide_padded(x, pads)
    taps = [tap(padded, (a, b), out, strides, dilation) for a in range(window[0]) for b in range(window[1])]
    return jnp.concatenate([seen.astype(x.dtype) for seen in taps], axis=-1)


def wide_padded(x: Array, pads: tuple[Pair, Pair]) -> Array:
    """Images [n, h, w, c] with zeros around them, in the dtype of sums, for `tap`: what it gives is narrowed again.

    The same values; but the gradient of a pixel, the sum of those of all taps that see it, is rounded once.
    """
    return jnp.pad(x.astype(sum_dtype(x)), ((0, 0), *pads, (0, 0)))


def tap(padded: Array, at: Pair, out: Pair, strides: Pair, dilation: Pair) -> Array:
    """The pixels [n, h_out, w_out, c] that one tap of a window sees while the window moves over a padded image."""
    start = [at[i] * dilation[i] for i in range(2)]
    stop = [start[i] + span(out[i], strides[i]) for i in range(2)]
    n, _, _, c = padded.shape
    return lax.slice(padded, (0, *start, 0), (n, *stop, c), (1, *strides, 1))
