"""Inception v3 (Szegedy et al. 2015, "Rethinking the Inception Architecture for Computer Vision", table 1).

Blocks and layers keep the names of the authors' code: five blocks A to E (figures 5, 10, 6, 10, 7), with filters of 7×7
as a row and a column, and of 5×5 mostly as two of 3×3. BatchNorm with epsilon 0.001.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.models.network import Network, Variant
from cnn_jax.modules import ConvUnit, Layers
from cnn_jax.ops import avg_pool, global_avg_pool, max_pool

# A branch is a chain of convolutions (channels, kernel size); S halves the map, a pair of kernel sizes splits it.
Chain = tuple[tuple, ...]
Block = dict[str, Chain]
ROW, COLUMN, SPLIT = (1, 7), (7, 1), ((1, 3), (3, 1))
S = "S"


def block_a(pool: int) -> Block:
    """Figure 5, at 35×35."""
    return {
        "branch1x1": ((64, 1),),
        "branch5x5": ((48, 1), (64, 5)),
        "branch3x3dbl": ((64, 1), (96, 3), (96, 3)),
        "branch_pool": ((pool, 1),),
    }


def block_b() -> Block:
    """Figure 10: from 35×35 to 17×17, beside a pooling."""
    return {"branch3x3": ((384, 3, S),), "branch3x3dbl": ((64, 1), (96, 3), (96, 3, S))}


def block_c(c: int) -> Block:
    """Figure 6, at 17×17."""
    return {
        "branch1x1": ((192, 1),),
        "branch7x7": ((c, 1), (c, ROW), (192, COLUMN)),
        "branch7x7dbl": ((c, 1), (c, COLUMN), (c, ROW), (c, COLUMN), (192, ROW)),
        "branch_pool": ((192, 1),),
    }


def block_d() -> Block:
    """From 17×17 to 8×8, beside a pooling."""
    return {"branch3x3": ((192, 1), (320, 3, S)), "branch7x7x3": ((192, 1), (192, ROW), (192, COLUMN), (192, 3, S))}


def block_e() -> Block:
    """Figure 7, at 8×8: branches that split at their end."""
    return {
        "branch1x1": ((320, 1),),
        "branch3x3": ((384, 1), (384, SPLIT)),
        "branch3x3dbl": ((448, 1), (384, 3), (384, SPLIT)),
        "branch_pool": ((192, 1),),
    }


BLOCKS: dict[str, Block] = {
    "5b": block_a(32),
    "5c": block_a(64),
    "5d": block_a(64),
    "6a": block_b(),
    "6b": block_c(128),
    "6c": block_c(160),
    "6d": block_c(160),
    "6e": block_c(192),
    "7a": block_d(),
    "7b": block_e(),
    "7c": block_e(),
}


class Mixed(nn.Module):
    """The branches of a block side by side, concatenated; a block without a pooled branch appends the pooled map.

    Args:
      branches: name and chain of each; the layers of a chain are called `name_1`, `name_2` …, or `name` if it is alone.
      count_padding: whether the average pooling before `branch_pool` counts the zeros around the map.
    """

    layers: Layers
    branches: tuple[tuple[str, Chain], ...]
    count_padding: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], train: bool) -> Float[Array, "n h_out w_out c_out"]:
        """Filters the map `x`."""
        outputs = []
        for name, chain in self.branches:
            y = avg_pool(x, 3, 1, 1, count_include_pad=self.count_padding) if name == "branch_pool" else x
            for i, (features, kernel_size, *reduce) in enumerate(chain, start=1):
                unit = name if len(chain) == 1 else f"{name}_{i}"
                strides, padding = (2, "VALID") if reduce else (1, "SAME")
                if kernel_size == SPLIT:
                    ends = zip("ab", SPLIT, strict=True)
                    y = jnp.concatenate(
                        [ConvUnit(self.layers, features, w, name=unit + e)(y, train) for e, w in ends], -1
                    )
                else:
                    y = ConvUnit(self.layers, features, kernel_size, strides, padding, name=unit)(y, train)
            outputs.append(y)
        if "branch_pool" not in dict(self.branches):
            outputs.append(max_pool(x, 3, 2))
        return jnp.concatenate(outputs, axis=-1)


class InceptionV3(Network):
    """A stem of convolutions to 35×35, eleven blocks `mixed5b` … `mixed7c`, a global average, a classifier.

    With `aux`, the classifier `aux1` on the last 17×17 map gives logits in training, as a feature.

    Args:
      variant: Where Keras's network departs from the paper's: it does not count the zeros around the map in average
        pooling. (Its BatchNorm has no scale: a scale of one.)
      aux: Auxiliary classifiers, whose loss helps the middle of the network in training.
      remat: whether blocks compute their activations again in the backward pass.
    """

    dropout: float = 0.5
    variant: Variant = "published"
    aux: bool = False
    remat: bool = False

    @property
    def aux_weight(self) -> dict[str, float]:
        """The auxiliary loss counts 0.4, as in the authors' code; the paper gives no number."""
        return {"aux1": 0.4} if self.aux and self.num_classes else {}

    @nn.compact
    def __call__(self, images: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n classes"]:
        """Logits of images of at least 75×75 (299×299 in the paper, and at least that to train with `aux`)."""
        layers = self.layers(epsilon=1e-3, remat=self.remat)

        def unit(
            name: str, features: int, kernel_size: int, x: Array, strides: int = 1, padding: str = "VALID"
        ) -> Array:
            return ConvUnit(layers, self.scaled(features), kernel_size, strides, padding, name=name)(x, train)

        x = unit("conv1a", 32, 3, self.check_images(images, minimum_size=75), strides=2)
        x = unit("conv2b", 64, 3, unit("conv2a", 32, 3, x), padding="SAME")
        x = unit("conv4a", 192, 3, unit("conv3b", 80, 1, max_pool(x, 3, 2)))
        x = self.expose("stem", max_pool(x, 3, 2))
        for name, branches in BLOCKS.items():
            scaled = tuple(
                (branch, tuple((self.scaled(features), *rest) for features, *rest in chain))
                for branch, chain in branches.items()
            )
            block = layers.block(Mixed)
            x = block(layers, scaled, self.variant != "keras", name=f"mixed{name}")(x, train)
            if name in ("5d", "6e", "7c"):
                x = self.expose(f"stage{int(name[0]) - 4}", x)
            if name == "6e" and self.aux_weight and (train or self.is_initializing()):
                self.auxiliary(x, train)
        x = self.expose("pool", global_avg_pool(x))
        return self.classify(self.drop("dropout", x, train))

    def auxiliary(self, x: Array, train: bool) -> None:
        """The classifier on the way (§4): 5×5 averages, 1×1 to 128 channels, 5×5 to 768, a linear layer."""
        layers = self.layers(epsilon=1e-3)
        if min(x.shape[1:3]) < 17:
            raise ValueError(
                f"InceptionV3 with `aux` needs images of at least 299×299; its map is {x.shape[1:3]}, not 17×17."
            )
        x = ConvUnit(layers, self.scaled(128), 1, name="aux1_conv0")(avg_pool(x, 5, 3), train)
        x = ConvUnit(layers, self.scaled(768), 5, padding="VALID", name="aux1_conv1")(x, train)
        self.expose("aux1", layers.head(self.num_classes, name="aux1_head")(global_avg_pool(x)))
