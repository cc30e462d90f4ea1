"""Normalisation layers: batch statistics (Ioffe and Szegedy 2015), and group statistics (Wu and He 2018)."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer
from jaxtyping import Array, Float

from cnn_jax.ops import batch_norm, current


class BatchNorm(nn.Module):
    """y = scale · (x − mean) / √(variance + epsilon) + bias, each channel over batch, height and width.

    In training, mean and (biased) variance are those of the batch; else the running averages, which training moves by
    `running = momentum · running + (1 − momentum) · batch`. So `momentum` 0.9 is PyTorch's 0.1. Of which rows, and
    whether at all, is said by the `cnn_jax.ops.context` around it: ghost batches, frozen averages, the axis under pmap.

    Args:
      momentum: the share of the old running average that stays (Flax's convention; 0.9 as in PyTorch's default).
      epsilon: added to the variance; 1e-5 in PyTorch, 1e-3 in Inception v3.
      scale_init: ones, or zeros for the last normalisation of a residual branch (Goyal et al. 2017, §5.1).

    Parameters: `scale`, `bias`; collection "batch_stats": `mean`, `var`; all [c].
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    param_dtype: Any = jnp.float32
    scale_init: Initializer = nn.initializers.ones_init()

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "n *spatial c"],
        *,
        train: bool,
        shortcut: Float[Array, "n *spatial c"] | None = None,
        relu: bool = False,
    ) -> Float[Array, "n *spatial c"]:
        """Normalises `x`, keeping its dtype; then adds the shortcut and applies a ReLU, where asked to.

        Raises:
          ValueError: when a ghost batch does not divide the batch, or a channel has one value to learn statistics from.
        """
        shape = (x.shape[-1],)
        scale = self.param("scale", self.scale_init, shape, self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros_init(), shape, self.param_dtype)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, self.param_dtype)
        var = self.variable("batch_stats", "var", jnp.ones, shape, self.param_dtype)
        learns = train and not self.is_initializing() and not current().frozen_norm
        how: dict[str, Any] = dict(momentum=self.momentum, epsilon=self.epsilon, shortcut=shortcut, relu=relu)
        y, moved = batch_norm(x, scale, bias, mean.value, var.value, train=learns, **how)
        if learns:
            mean.value, var.value = moved
        return y


class GroupNorm(nn.Module):
    """Normalises each example by itself, over height, width and the channels of one group; no running averages.

    Args:
      groups: number of groups; the greatest common divisor with the channels is used, so that 32 suits 16 channels.
        One group is what Wu and He 2018 (figure 2) call layer normalisation of a convolutional network.
      epsilon: added to the variance; 1e-5 as there.

    Parameters: `scale`, `bias`; both [c].
    """

    groups: int = 32
    epsilon: float = 1e-5
    param_dtype: Any = jnp.float32
    scale_init: Initializer = nn.initializers.ones_init()

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], *, train: bool = False) -> Float[Array, "n h w c"]:
        """Normalises images `x`; the arithmetic is in the parameters' dtype, the result in that of `x`.

        Args:
          train: changes no value; only in training are groups of one value refused, whose result is the bias alone.

        Raises:
          ValueError: when a group has one value to learn from.
        """
        channels = x.shape[-1]
        groups = math.gcd(self.groups, channels)
        if train and not self.is_initializing() and x.shape[1:3] == (1, 1) and groups == channels:
            raise ValueError(
                f"`GroupNorm` in training needs more than one value a group, got maps of 1×1 with {channels} channels "
                f"in {groups} groups: each value is its own mean. Use fewer groups or larger images."
            )
        scale = self.param("scale", self.scale_init, (channels,), self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros_init(), (channels,), self.param_dtype)
        grouped = x.astype(self.param_dtype).reshape(*x.shape[:3], groups, channels // groups)
        mean = grouped.mean((1, 2, 4), keepdims=True)
        var = jnp.square(grouped - mean).mean((1, 2, 4), keepdims=True)
        y = ((grouped - mean) * jax.lax.rsqrt(var + self.epsilon)).reshape(x.shape)
        return (y * scale.reshape(1, 1, 1, -1) + bias.reshape(1, 1, 1, -1)).astype(x.dtype)
