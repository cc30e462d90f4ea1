"""Pre-activation residual networks and the wide ones built from them.

He, Zhang, Ren and Sun 2016, "Identity Mappings in Deep Residual Networks"; Zagoruyko and Komodakis 2016, "Wide Residual
Networks" (table 1: WRN-d-k has k times the channels).
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.models.network import Network, Pool, ShortcutKind, Stem, Variant
from cnn_jax.modules import PreActivationBlock
from cnn_jax.ops import avg_pool, global_avg_pool, max_pool


class ResNetV2(Network):
    """A stem, stages of pre-activation blocks, a last normalisation and activation, a global average, a classifier.

    The stem pools before the first activation; the paper's, after: the same wherever BatchNorm's scale is positive.
    The variant "keras" has biases on the convolutions that no BatchNorm follows, zeros around the stem's pooling, and
    its strides in the last block of a stage.

    Args:
      depths: blocks of each stage.
      stage_features: channels that each stage puts out.
      stem_features: channels of the first convolution.
      inner_features: channels of each stage's 3×3 convolutions if the blocks are bottlenecks, else None.
      dropout_in_blocks: whether `dropout` acts between the convolutions of a block, or once at the end.
      stem: 7×7 stride 2 and a 3×3 pooling, or one 3×3 convolution for images of about 32×32.
      pool: What down-samples in the stem: the maximum or the mean of a window.
      shortcut: He et al. 2015, §4.1: zero padding, 1×1 where the shape changes, 1×1 everywhere; or the plain twin.
      drop_path: Stochastic depth: rate of the last block, rising linearly from zero (Huang et al. 2016).
      variant: Where Keras's network of this name departs from the paper's, as above.
      remat: whether blocks compute their activations again in the backward pass.
    """

    depths: tuple[int, ...] = (3, 4, 6, 3)
    stage_features: tuple[int, ...] = (256, 512, 1024, 2048)
    stem_features: int = 64
    inner_features: tuple[int, ...] | None = (64, 128, 256, 512)
    dropout_in_blocks: bool = False
    stem: Stem = "imagenet"
    pool: Pool = "max"
    shortcut: ShortcutKind = "B"
    drop_path: float = 0.0
    variant: Variant = "published"
    remat: bool = False

    structure = ("depths", "stage_features", "stem_features", "inner_features", "dropout_in_blocks")

    @nn.compact
    def __call__(self, images: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n classes"]:
        """Logits of images of any size."""
        layers = self.layers()
        x = self.expose("stem", self.begin(self.check_images(images)))
        for stage, depth in enumerate(self.depths, start=1):
            for block in range(1, depth + 1):
                x = self.block(stage, block, x, train)
            x = self.expose(f"stage{stage}", x)
        x = layers.normalize_and_activate("last_norm", x, train=train)
        x = self.expose("pool", global_avg_pool(x))
        return self.classify(x if self.dropout_in_blocks else self.drop("dropout", x, train))

    def begin(self, x: Array) -> Array:
        """7×7, stride 2 and a 3×3 pooling, or one 3×3 convolution."""
        layers, features, keras = self.layers(), self.scaled(self.stem_features), self.variant == "keras"
        bias = True if keras else None
        if self.stem == "cifar":
            return layers.conv("stem_conv", features, 3, 1, 1, use_bias=bias)(x)
        x = layers.conv("stem_conv", features, 7, 2, 3, use_bias=bias)(x)
        pool = max_pool if self.pool == "max" else avg_pool
        if keras:
            return pool(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), 3, 2)
        return pool(x, 3, 2, 1)

    def block(self, stage: int, block: int, x: Array, train: bool) -> Array:
        """One block, called `stage1_block1` and so on."""
        layers, keras = self.layers(remat=self.remat), self.variant == "keras"
        last = block == self.depths[stage - 1]
        strides = (last and stage < len(self.depths)) if keras else (block == 1 and stage > 1)
        # Keras takes every second pixel of a map that keeps its channels, where the paper's option B would project.
        shortcut = "A" if keras and strides and block > 1 else self.shortcut
        number = sum(self.depths[: stage - 1]) + block
        return layers.block(PreActivationBlock)(
            layers,
            self.scaled(self.stage_features[stage - 1]),
            self.scaled(self.inner_features[stage - 1]) if self.inner_features else None,
            strides=2 if strides else 1,
            shortcut=shortcut,
            first=number == 1,
            bias_without_norm=True if keras else None,
            dropout=self.dropout if self.dropout_in_blocks else 0.0,
            drop_path=self.drop_path * number / sum(self.depths),
            name=f"stage{stage}_block{block}",
        )(x, train)
