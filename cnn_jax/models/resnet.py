"""Residual networks (He, Zhang, Ren and Sun 2015, "Deep Residual Learning for Image Recognition") and their kin.

Table 1 for ImageNet, §4.2 for CIFAR-10. ResNeXt (Xie et al. 2017) groups the 3×3 convolution, wide ResNets (Zagoruyko
and Komodakis 2016, §3.4) double its channels; the plain twins (§4.1) leave out the shortcuts.
"""

import flax.linen as nn
from jaxtyping import Array, Float

from cnn_jax.models.network import Network, Pool, ShortcutKind, Stem
from cnn_jax.modules import BasicBlock, Bottleneck
from cnn_jax.ops import avg_pool, global_avg_pool, max_pool


class ResNet(Network):
    """A stem, stages of residual blocks that halve the size and double the channels, a global average, a classifier.

    Args:
      depths: blocks of each stage.
      stage_features: channels of each stage, before the factor 4 of bottlenecks.
      bottleneck: 1×1–3×3–1×1 blocks that put out four times as many channels; else two 3×3.
      groups: groups of the 3×3 convolution of a bottleneck.
      inner_factor: factor on the channels of the 3×3 convolution of a bottleneck.
      stride_on_3x3: where a bottleneck strides: the 3×3 ("v1.5"), or the first 1×1 as in the paper.
      stem: 7×7 stride 2 and a 3×3 pooling, or one 3×3 convolution for images of about 32×32.
      pool: What down-samples in the stem: the maximum or the mean of a window.
      shortcut: §4.1: zero padding, 1×1 where the shape changes, 1×1 everywhere; or the plain twin.
      zero_init_scale: Start the last normalisation of every residual branch at scale zero (Goyal et al. 2017).
      drop_path: Stochastic depth: rate of the last block, rising linearly from zero (Huang et al. 2016).
      remat: whether blocks compute their activations again in the backward pass.
    """

    depths: tuple[int, ...] = (3, 4, 6, 3)
    stage_features: tuple[int, ...] = (64, 128, 256, 512)
    bottleneck: bool = False
    groups: int = 1
    inner_factor: int = 1
    stride_on_3x3: bool = True
    stem: Stem = "imagenet"
    pool: Pool = "max"
    shortcut: ShortcutKind = "B"
    zero_init_scale: bool = False
    drop_path: float = 0.0
    remat: bool = False

    structure = ("depths", "stage_features", "bottleneck", "groups", "inner_factor", "stride_on_3x3")

    @nn.compact
    def __call__(self, images: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n classes"]:
        """Logits of images of any size."""
        x = self.expose("stem", self.begin(self.check_images(images), train))
        for stage, depth in enumerate(self.depths, start=1):
            for block in range(1, depth + 1):
                x = self.block(stage, block, x, train)
            x = self.expose(f"stage{stage}", x)
        x = self.expose("pool", global_avg_pool(x))
        return self.classify(self.drop("dropout", x, train))

    def begin(self, x: Array, train: bool) -> Array:
        """7×7, 64, stride 2 and a 3×3 pooling (table 1), or the 3×3 of §4.2."""
        layers, features = self.layers(), self.scaled(self.stage_features[0])
        if self.stem == "imagenet":
            x = layers.conv("stem_conv", features, 7, 2, 3)(x)
        else:
            x = layers.conv("stem_conv", features, 3, 1, 1)(x)
        x = layers.normalize_and_activate("stem_norm", x, train=train)
        if self.stem == "imagenet":
            x = (max_pool if self.pool == "max" else avg_pool)(x, 3, 2, 1)
        return x

    def block(self, stage: int, block: int, x: Array, train: bool) -> Array:
        """One residual block, called `stage1_block1` and so on; the first of every stage but the first strides."""
        layers = self.layers(remat=self.remat)
        number = sum(self.depths[: stage - 1]) + block
        common = dict(
            strides=2 if stage > 1 and block == 1 else 1,
            shortcut=self.shortcut,
            zero_init_scale=self.zero_init_scale,
            drop_path=self.drop_path * number / sum(self.depths),
            name=f"stage{stage}_block{block}",
        )
        features = self.stage_features[stage - 1]
        if not self.bottleneck:
            return layers.block(BasicBlock)(layers, self.scaled(features), **common)(x, train)
        inner = self.scaled(features * self.inner_factor, multiple_of=self.groups)
        return layers.block(Bottleneck)(
            layers,
            4 * self.scaled(features),
            inner,
            groups=self.groups,
            stride_on_3x3=self.stride_on_3x3,
            **common,
        )(x, train)
