"""VGG (Simonyan and Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition", table 1).

3×3 filters everywhere, halving by 2×2 pooling, doubling the channels: 64, 128, 256, 512. The paper drew the weights of
its shallowest network from N(0, 0.01²) and started the deeper ones from that; He's initialisation needs no such help.
"""

import flax.linen as nn
from jaxtyping import Array, Float

from cnn_jax.models.network import Network, Norm, Pool
from cnn_jax.ops import adaptive_avg_pool, avg_pool, max_pool

STAGE_FEATURES = (64, 128, 256, 512, 512)


class VGG(Network):
    """Five stages of 3×3 convolutions, each halved by pooling, then two hidden layers of 4,096 units, a classifier.

    Layers have their customary names: `conv1_1` … `conv5_4`, `fc6`, `fc7`.

    Args:
      depths: convolutions of each stage.
      pool: What down-samples: the maximum or the mean of a window.
    """

    depths: tuple[int, ...] = (2, 2, 3, 3, 3)
    norm: Norm = "none"
    dropout: float = 0.5
    pool: Pool = "max"

    structure = ("depths",)

    @nn.compact
    def __call__(self, images: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n classes"]:
        """Logits of images of at least 32×32; the last maps are averaged to 7×7, as at 224×224."""
        layers = self.layers()
        pool = max_pool if self.pool == "max" else avg_pool
        x = self.check_images(images, minimum_size=32)
        for stage, (depth, features) in enumerate(zip(self.depths, STAGE_FEATURES, strict=True), start=1):
            for i in range(1, depth + 1):
                x = layers.conv(f"conv{stage}_{i}", self.scaled(features), 3, padding=1, use_bias=True)(x)
                x = layers.normalize_and_activate(f"norm{stage}_{i}", x, train=train)
                if stage == i == 1:
                    x = self.expose("stem", x)
            x = self.expose(f"stage{stage}", pool(x, 2))
        x = self.expose("pool", adaptive_avg_pool(x, 7))
        x = x.reshape(x.shape[0], -1)
        for name in ("fc6", "fc7"):
            x = layers.activate(layers.dense(name, self.scaled(4096))(x))
            x = self.drop(f"{name}_dropout", x, train)
        return self.classify(x)
