"""The convolution layer: a kernel, perhaps a bias, and `cnn_jax.ops.conv2d`."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import Initializer
from jaxtyping import Array, Float

from cnn_jax.modules.initializers import INITIALIZERS
from cnn_jax.ops import add_bias, conv2d

Pair = int | tuple[int, int]
Padding = str | int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]


class Conv(nn.Module):
    """A filter moves over the image; at each place, the sum of element-wise products, plus a bias.

    Args:
      features: number of filters, the channels put out.
      kernel_size: height and width of the filters, in pixels.
      strides, padding, dilation, groups: as in `cnn_jax.ops.conv2d`.
      use_bias: whether each filter adds a constant; pointless when a BatchNorm follows.
      dtype: the dtype of the computation.
      param_dtype: the dtype of the parameters `kernel` [kh, kw, c / groups, features] and `bias` [features].
      kernel_init, bias_init: initialisers; by default He's, and zero.

    Raises:
      ValueError: for a size that is not positive, or features that the groups do not divide.
    """

    features: int
    kernel_size: Pair
    strides: Pair = 1
    padding: Padding = "SAME"
    dilation: Pair = 1
    groups: int = 1
    use_bias: bool = True
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32
    kernel_init: Initializer = INITIALIZERS["he"]
    bias_init: Initializer = nn.initializers.zeros_init()

    def __post_init__(self) -> None:
        for field in ("features", "kernel_size", "strides", "dilation", "groups"):
            value = getattr(self, field)
            if any(size < 1 for size in ((value,) if isinstance(value, int) else value)):
                hint = "; use 1 for no striding" if field == "strides" else ""
                raise ValueError(f"`Conv.{field}` must be positive, got {value}{hint}.")
        if self.features % self.groups:
            raise ValueError(f"`Conv.features` ({self.features}) must be a multiple of `groups` ({self.groups}).")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h_out w_out features"]:
        """Filters images `x` of layout NHWC; raises ValueError when `groups` does not divide their channels."""
        channels = x.shape[-1]
        if channels % self.groups:
            raise ValueError(f"`Conv.groups` ({self.groups}) must divide the {channels} channels of the input.")
        height, width = (self.kernel_size, self.kernel_size) if isinstance(self.kernel_size, int) else self.kernel_size
        shape = (height, width, channels // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        y = conv2d(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype)
            y = add_bias(y, bias)
        return y
