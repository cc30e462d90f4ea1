"""Pre-activation residual blocks (He et al. 2016, "Identity Mappings in Deep Residual Networks", figure 4e)."""

import flax.linen as nn
from jaxtyping import Array, Float

from cnn_jax.modules.dropout import Dropout, DropPath
from cnn_jax.modules.layers import Layers
from cnn_jax.modules.residual import Shortcut


class PreActivationBlock(nn.Module):
    """Normalisation and activation before each convolution; what is added is never touched on its way.

    A projection sees the activated input, the identity the raw one, but in the first block of a network. Layers are
    called `norm1`, `conv1`, `norm2` ….

    Args:
      features: channels put out.
      inner: channels of the 3×3 convolution of a bottleneck; None: two 3×3 convolutions of `features` channels.
      strides: step of the (first) 3×3 convolution.
      shortcut: as in `Shortcut`, or "none".
      first: the input is a convolution's that nothing activated yet: it is activated before the paths part (appendix).
      bias_without_norm: biases on the convolutions that no normalisation follows: the last one and the projection.
      dropout: rate between the two 3×3 convolutions (Zagoruyko and Komodakis 2016, §2.4).
      drop_path: rate of `DropPath`.
    """

    layers: Layers
    features: int
    inner: int | None = None
    strides: int = 1
    shortcut: str = "B"
    first: bool = False
    bias_without_norm: bool | None = None
    dropout: float = 0.0
    drop_path: float = 0.0

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], train: bool) -> Float[Array, "n h_out w_out features"]:
        """branch(activated x) + shortcut."""
        layers = self.layers
        active = layers.normalize_and_activate("norm1", x, train=train)
        if self.inner is None:
            y = layers.conv("conv1", self.features, 3, self.strides, 1)(active)
            y = layers.normalize_and_activate("norm2", y, train=train)
            y = Dropout(self.dropout, name="dropout")(y, train=train)
            y = layers.conv("conv2", self.features, 3, 1, 1, use_bias=self.bias_without_norm)(y)
        else:
            y = layers.normalize_and_activate("norm2", layers.conv("conv1", self.inner, 1, 1, 0)(active), train=train)
            y = layers.conv("conv2", self.inner, 3, self.strides, 1)(y)
            y = layers.normalize_and_activate("norm3", y, train=train)
            y = layers.conv("conv3", self.features, 1, 1, 0, use_bias=self.bias_without_norm)(y)
        if self.shortcut == "none":
            return y
        y = DropPath(self.drop_path, name="drop_path")(y, train=train)
        changes = x.shape[-1] != self.features or self.strides != 1
        projects = self.shortcut == "C" or (self.shortcut == "B" and changes)
        around = Shortcut(
            layers,
            self.shortcut,
            self.features,
            self.strides,
            normalize=False,
            use_bias=self.bias_without_norm,
            name="shortcut",
        )
        return y + around(active if projects or self.first else x, train=train)
