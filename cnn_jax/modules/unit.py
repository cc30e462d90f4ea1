"""The unit that most networks repeat: convolution, normalisation, activation."""

import flax.linen as nn
from jaxtyping import Array, Float

from cnn_jax.modules.conv import Padding, Pair
from cnn_jax.modules.layers import Layers


class ConvUnit(nn.Module):
    """Convolution, normalisation, activation, with parameters under `conv` and `norm`.

    Args:
      layers: the network's common choices; for norm "none" the convolution has a bias instead.
      features, kernel_size, strides, padding, groups: as in `Conv`.
    """

    layers: Layers
    features: int
    kernel_size: Pair
    strides: Pair = 1
    padding: Padding = "SAME"

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], train: bool) -> Float[Array, "n h_out w_out features"]:
        """Filters, normalises and activates images `x`."""
        x = self.layers.conv("conv", self.features, self.kernel_size, self.strides, self.padding)(x)
        return self.layers.normalize_and_activate("norm", x, train=train)
