"""Convolution: a filter moves over the image; at each place, the sum of element-wise products."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from cnn_jax.ops.context import current
from cnn_jax.ops.conv_cpu import conv_custom_vjp
from cnn_jax.ops.conv_products import im2col_conv, matmul_conv
from cnn_jax.ops.geometry import ConvGeometry, Padding, explicit_padding, pair, positions
from cnn_jax.ops.xla_conv import plain_conv, settled, xla_conv_with_its_gradients

# Of programs for a CPU; on others `auto` and `xla` are `plain_conv`.
_FORMS: dict[str, Callable[[Array, Array, ConvGeometry], Array]] = {
    "auto": conv_custom_vjp,
    "xla": xla_conv_with_its_gradients,
    "im2col": im2col_conv,
    "matmul": matmul_conv,
}


def conv2d(
    x: Float[Array, "n h w c"],
    kernel: Float[Array, "kh kw c_per_group o"],
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Float[Array, "n h_out w_out o"]:
    """Convolve images with filters (without flipping them, as every deep-learning library does).

    y[n, i, j, o] = sum over (a, b, c) of x[n, i * stride + a * dilation - top, j * stride + b * dilation - left, c]
    * kernel[a, b, c, o], where pixels outside the image are zero. `context` says in which form it is computed.

    Args:
      x: images, channels last.
      kernel: filters, of the images' dtype; with groups, each sees `c / groups` channels.
      strides: pixels between two places of the filter; one number or (height, width).
      padding: `SAME` (ceil(size / stride) places, the odd pixel at the end, as in TensorFlow), `VALID` (none), an
        integer for all sides, `(height, width)`, or `((top, bottom), (left, right))`. PyTorch's `padding=1` is 1.
      dilation: pixels between two taps of the filter; 1 is a dense filter.
      groups: the channels are split in so many parts, each convolved with its own part of the filters.

    Returns:
      The feature maps, in the images' dtype.

    Raises:
      ValueError: for sizes that do not belong together.
      TypeError: when the dtypes differ; on a CPU in forward mode (`jax.jvp`), which needs `context(conv="xla")`.

    Example:
      >>> import jax.numpy as jnp
      >>> conv2d(jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 3, 8)), strides=2).shape
      (1, 2, 2, 8)
    """
    _check(x, kernel, groups)
    strides, dilation = pair(strides, "conv2d.strides"), pair(dilation, "conv2d.dilation")
    window, size = (kernel.shape[0], kernel.shape[1]), x.shape[1:3]
    pads = explicit_padding(padding, size, window, strides, dilation, "conv2d.padding")
    out = positions(size, window, strides, pads, dilation, "conv2d")
    plain = settled(x, kernel, ConvGeometry(strides, pads, dilation, groups))
    if plain is None:
        return jnp.zeros((x.shape[0], *out, kernel.shape[3]), x.dtype)
    x, geometry = plain
    here = current()
    form = _FORMS[here.conv] if here.on_cpu or here.conv not in ("auto", "xla") else plain_conv
    return form(x, kernel, geometry)


def _check(x: Array, kernel: Array, groups: int) -> None:
    if x.ndim != 4 or kernel.ndim != 4:
        raise ValueError(
            f"`conv2d` needs images [n, h, w, c] and a kernel [kh, kw, c, o], got {x.shape} and {kernel.shape}; "
            "one image is x[None]."
        )
    if x.dtype != kernel.dtype:
        raise TypeError(f"`conv2d` needs one dtype, got images {x.dtype} and kernel {kernel.dtype}; cast the kernel.")
    if not isinstance(groups, int) or groups < 1:
        raise ValueError(f"`conv2d.groups` must be a positive integer, got {groups!r}; use 1 for no groups.")
    if x.shape[3] != kernel.shape[2] * groups:
        raise ValueError(
            f"`conv2d`: {x.shape[3]} channels in {groups} groups need a kernel with {x.shape[3] / groups:g} input "
            f"channels, got one with {kernel.shape[2]}."
        )
    if kernel.shape[3] % groups:
        raise ValueError(f"`conv2d`: {kernel.shape[3]} filters cannot be split in {groups} equal groups.")
