"""LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998, "Gradient-Based Learning Applied to Document Recognition", §II.B).

The common modern form: tanh, average pooling without parameters, a plain linear output in place of the radial basis
functions. Layers keep the paper's names: C1, S2, C3, S4, C5, F6. 61,706 parameters for one channel and ten classes.
"""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.models.network import Activation, FiveByFive, KernelInit, Network, Norm, Pool
from cnn_jax.modules import Layers
from cnn_jax.ops import avg_pool, max_pool

# Table I of the paper: the maps of S2 that each of the 16 maps of C3 sees.
C3_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip


class SparseC3(nn.Module):
    """C3 by table I: sixteen 5×5 filters, each over its own three, four or six maps; 1,516 parameters.

    The parameters `map0` … `map15` hold only the weights that exist.
    """

    layers: Layers

    @nn.compact
    def __call__(self, x: Float[Array, "n h w 6"]) -> Float[Array, "n h-4 w-4 16"]:
        """Filters the six maps `x`; raises ValueError for another number of maps."""
        if x.shape[-1] != 6:
            raise ValueError(f"the sparse C3 connects 6 maps, got {x.shape[-1]}; keep `width` at 1.")
        maps = [
            self.layers.conv(f"map{i}", 1, 5, padding="VALID", use_bias=True)(x[..., jnp.array(seen)])
            for i, seen in enumerate(C3_TABLE)
        ]
        return jnp.concatenate(maps, axis=-1)


class LeNet5(Network):
    """Convolution and pooling, twice, then a classifier of three layers. Takes 32×32 images, and 28×28 padded by 2.

    Args:
      pool: What down-samples: the maximum or the mean of a window.
      five_by_five: The 5×5 convolutions: 25 weights, or two 3×3 with 18 and the same view.
      connections: The third layer: to all six maps, or by table I of the 1998 paper.
    """

    activation: Activation = "tanh"
    norm: Norm = "none"
    kernel_init: KernelInit = "lecun"
    pool: Pool = "avg"
    five_by_five: FiveByFive = "5x5"
    connections: Literal["full", "sparse"] = "full"

    @nn.compact
    def __call__(self, images: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n classes"]:
        """Logits of images; raises ValueError for a size other than 28×28 and 32×32."""
        layers = self.layers()
        pool = max_pool if self.pool == "max" else avg_pool
        x = self.check_images(images)
        size = x.shape[1:3]
        if size not in ((28, 28), (32, 32)):
            raise ValueError(
                f"lenet5 takes images of 32×32, or of 28×28 which it pads by 2, got {size[0]}×{size[1]}; "
                "resize or pad them in the data pipeline."
            )
        if size == (28, 28):
            x = jnp.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
        x = self.expose("stem", self.convolve("c1", 6, x, train))
        x = self.expose("stage1", pool(x, 2))
        x = self.expose("stage2", self.convolve("c3", 16, x, train))
        x = self.expose("pool", pool(x, 2))
        x = x.reshape(x.shape[0], -1)
        for name, units in (("c5", 120), ("f6", 84)):
            x = layers.activate(layers.dense(name, self.scaled(units))(x))
            x = self.drop(f"{name}_dropout", x, train)
        return self.classify(x)

    def convolve(self, name: str, channels: int, x: Array, train: bool) -> Array:
        """A 5×5 convolution without padding, or its factorisation, and the activation."""
        layers = self.layers()
        if name == "c3" and self.connections == "sparse":
            if self.five_by_five != "5x5":
                raise ValueError("the sparse C3 is a table of 5×5 filters; keep `five_by_five` at 5x5.")
            x = SparseC3(layers, name=name)(x)
        elif self.five_by_five == "5x5":
            x = layers.conv(name, self.scaled(channels), 5, padding="VALID")(x)
        elif self.five_by_five == "3x3_twice":
            x = layers.activate(layers.conv(f"{name}_a", self.scaled(channels), 3, padding="VALID")(x))
            x = layers.conv(f"{name}_b", self.scaled(channels), 3, padding="VALID")(x)
        else:
            raise ValueError("one 3×3 does not take lenet5's maps to the published sizes; use 5x5 or 3x3_twice.")
        return layers.normalize_and_activate(f"{name}_norm", x, train=train)
