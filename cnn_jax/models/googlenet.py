"""GoogLeNet (Szegedy et al. 2014, "Going Deeper with Convolutions", table 1), as published and as torchvision has it.

torchvision's has BatchNorm (epsilon 0.001) in place of biases and local response normalisation, 3×3 filters where the
paper has 5×5 (a known slip that its weights made permanent), and a 2×2 fourth pooling.
"""

import flax.linen as nn
from jaxtyping import Array, Float

from cnn_jax.models.network import FiveByFive, Network, Pool
from cnn_jax.modules import ConvUnit, Dropout, Inception
from cnn_jax.ops import adaptive_avg_pool, avg_pool, global_avg_pool, local_response_norm, max_pool

# Table 1: #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5, pool proj.
BLOCKS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class GoogLeNet(Network):
    """A stem and nine inception blocks, `inception3a` … `inception5b`, a global average, one linear layer.

    With `aux`, classifiers `aux1` after 4a and `aux2` after 4d (§5) give logits in training, as features of
    those names.

    Args:
      response_norm: local response normalisation around the stem's second and third convolution (figure 3).
      last_window: of the fourth pooling: 3 in the paper, 2 in torchvision.
      aux_window: of the auxiliary classifiers' average pooling of stride 3: 5 in the paper (§5), which leaves 4×4 of
        14×14; None divides a map of any size into 4×4 parts (torchvision), as is done afterwards in any case.
      pool: What down-samples: the maximum or the mean of a window.
      five_by_five: The 5×5 convolutions: 25 weights, two 3×3 with 18 and the same view, or one 3×3 as in torchvision's.
      aux: Auxiliary classifiers, whose loss helps the middle of the network in training.
      remat: whether blocks compute their activations again in the backward pass.
    """

    response_norm: bool = False
    last_window: int = 2
    aux_window: int | None = None
    dropout: float = 0.2
    pool: Pool = "max"
    five_by_five: FiveByFive = "3x3"
    aux: bool = False
    remat: bool = False

    structure = ("response_norm", "last_window", "aux_window")

    @property
    def aux_weight(self) -> dict[str, float]:
        """Each auxiliary loss counts 0.3 (§5)."""
        return {"aux1": 0.3, "aux2": 0.3} if self.aux and self.num_classes else {}

    @nn.compact
    def __call__(self, images: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n classes"]:
        """Logits of images of at least 15×15, or 31×31 where the fourth pooling takes 3×3 windows."""
        layers = self.layers(epsilon=1e-3, remat=self.remat)
        pool = max_pool if self.pool == "max" else avg_pool
        normalize = local_response_norm if self.response_norm else (lambda x: x)

        def unit(name: str, features: int, kernel_size: int, x: Array, strides: int = 1) -> Array:
            return ConvUnit(layers, self.scaled(features), kernel_size, strides, kernel_size // 2, name=name)(x, train)

        x = self.check_images(images, minimum_size=15 if self.last_window == 2 else 31)
        x = normalize(pool(unit("conv1", 64, 7, x, strides=2), 3, 2, ceil_mode=True))
        x = normalize(unit("conv3", 192, 3, unit("conv2", 64, 1, x)))
        x = self.expose("stem", pool(x, 3, 2, ceil_mode=True))
        for name, channels in BLOCKS.items():
            block = layers.block(Inception)
            x = block(
                layers,
                *map(self.scaled, channels),
                five_by_five=self.five_by_five,
                pool=self.pool,
                name=f"inception{name}",
            )(x, train)
            if name in ("3b", "4e", "5b"):
                x = self.expose(f"stage{int(name[0]) - 2}", x)
            if name in ("4a", "4d") and self.aux_weight and (train or self.is_initializing()):
                self.auxiliary("aux1" if name == "4a" else "aux2", x, train)
            if name == "3b":
                x = pool(x, 3, 2, ceil_mode=True)
            if name == "4e":
                x = pool(x, self.last_window, 2, ceil_mode=True)
        x = self.expose("pool", global_avg_pool(x))
        return self.classify(self.drop("dropout", x, train))

    def auxiliary(self, name: str, x: Array, train: bool) -> None:
        """A classifier on the way: 4×4 averages, 1×1 to 128 channels, 1,024 units, 70 % dropout (§5)."""
        layers = self.layers(epsilon=1e-3)
        if self.aux_window is not None and min(x.shape[1:3]) >= self.aux_window:
            x = avg_pool(x, self.aux_window, 3)
        x = ConvUnit(layers, self.scaled(128), 1, name=f"{name}_conv")(adaptive_avg_pool(x, 4), train)
        x = layers.activate(layers.dense(f"{name}_fc", self.scaled(1024))(x.reshape(x.shape[0], -1)))
        x = Dropout(0.7, name=f"{name}_dropout")(x, train=train)
        self.expose(name, layers.head(self.num_classes, name=f"{name}_head")(x))
