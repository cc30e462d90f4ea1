"""The inception block of GoogLeNet (Szegedy et al. 2014, figure 2b): four views of the same maps, side by side."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.modules.layers import Layers
from cnn_jax.modules.unit import ConvUnit
from cnn_jax.ops import avg_pool, max_pool


class Inception(nn.Module):
    """1×1, 3×3 and 5×5 convolutions and a 3×3 pooling of the same maps, concatenated in this order.

    1×1 convolutions reduce the channels before the larger filters, and after the pooling. The numbers have the names of
    the columns of table 1.

    Args:
      one, three_reduce, three, five_reduce, five, pool_project: channels.
      five_by_five: "5x5" as published, "3x3_twice", or "3x3" (torchvision).
      pool: "max" as published, or "avg".
    """

    layers: Layers
    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool_project: int
    five_by_five: str = "5x5"
    pool: str = "max"

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], train: bool) -> Float[Array, "n h w c_out"]:
        """The four branches of `x`, concatenated."""

        def unit(name: str, features: int, kernel_size: int, x: Array) -> Array:
            return ConvUnit(self.layers, features, kernel_size, padding=kernel_size // 2, name=name)(x, train)

        three = unit("three", self.three, 3, unit("three_reduce", self.three_reduce, 1, x))
        five = unit("five_reduce", self.five_reduce, 1, x)
        match self.five_by_five:
            case "5x5":
                five = unit("five", self.five, 5, five)
            case "3x3":
                five = unit("five", self.five, 3, five)
            case "3x3_twice":
                five = unit("five_b", self.five, 3, unit("five_a", self.five, 3, five))
            case other:
                raise ValueError(f"unknown `five_by_five` {other!r}; it is one of 5x5, 3x3_twice, 3x3.")
        pooled = (max_pool if self.pool == "max" else avg_pool)(x, 3, 1, 1)
        branches = [unit("one", self.one, 1, x), three, five, unit("pool_project", self.pool_project, 1, pooled)]
        return jnp.concatenate(branches, axis=-1)
