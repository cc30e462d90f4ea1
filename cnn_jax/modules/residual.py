"""Residual blocks of He et al. 2015: two 3×3 convolutions, or a 1×1–3×3–1×1 bottleneck, beside a shortcut."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.modules.dropout import DropPath
from cnn_jax.modules.layers import Layers


class Shortcut(nn.Module):
    """The way around a block, by the options of He et al. 2015, §4.1.

    Args:
      kind: "A": the identity, every `strides`-th pixel, with zeros for new channels (no parameters); "B": a 1×1
        convolution where the shape changes, the identity else; "C": a 1×1 convolution always.
      features, strides: what the block puts out.
      normalize: whether a normalisation follows the 1×1 convolution (not in pre-activation networks).
      use_bias: as in `Layers.conv`.
    """

    layers: Layers
    kind: str
    features: int
    strides: int
    normalize: bool = True
    use_bias: bool | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n h_out w_out features"]:
        """Carries `x` around; raises ValueError for an unknown kind, or fewer channels under A."""
        channels = x.shape[-1]
        if self.kind not in ("A", "B", "C"):
            raise ValueError(f"unknown shortcut {self.kind!r}; it is one of A, B, C.")
        if self.kind != "C" and channels == self.features and self.strides == 1:
            return x
        if self.kind == "A":
            if channels > self.features:
                raise ValueError(f"shortcut A cannot take {channels} channels to {self.features}; use B or C.")
            x = x[:, :: self.strides, :: self.strides]
            return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.features - channels)))
        x = self.layers.conv("conv", self.features, 1, self.strides, 0, use_bias=self.use_bias)(x)
        return self.layers.normalize("norm", x, train=train) if self.normalize else x


def add_shortcut(block: "BasicBlock | Bottleneck", norm: str, x: Array, y: Array, train: bool) -> Array:
    """activation(normalised y + shortcut(x)), for shortcut "none" without it, as in the plain network.

    Called inside the block, whose last normalisation is called `norm`.
    """
    layers = block.layers
    how: dict[str, Any] = dict(train=train, zero_scale=block.zero_init_scale)
    if block.shortcut == "none":
        return layers.normalize_and_activate(norm, y, **how)
    shortcut = Shortcut(layers, block.shortcut, y.shape[-1], block.strides, name="shortcut")
    if train and block.drop_path == 0.0:
        return layers.normalize_and_activate(norm, y, **how, shortcut=shortcut(x, train=train))
    y = DropPath(block.drop_path, name="drop_path")(layers.normalize(norm, y, **how), train=train)
    return layers.activate(y + shortcut(x, train=train))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions of `features` channels beside a shortcut (He et al. 2015, figure 5 left).

    Args:
      features: channels of both convolutions; `strides`: step of the first.
      shortcut: as in `Shortcut`, or "none" for the plain twin.
      zero_init_scale: whether the last normalisation starts at scale zero, so that the block starts as the identity.
      drop_path: rate of `DropPath`.
    """

    layers: Layers
    features: int
    strides: int = 1
    shortcut: str = "B"
    zero_init_scale: bool = False
    drop_path: float = 0.0

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], train: bool) -> Float[Array, "n h_out w_out features"]:
        """activation(branch(x) + shortcut(x))."""
        layers = self.layers
        y = layers.conv("conv1", self.features, 3, self.strides, 1)(x)
        y = layers.normalize_and_activate("norm1", y, train=train)
        y = layers.conv("conv2", self.features, 3, 1, 1)(y)
        return add_shortcut(self, "norm2", x, y, train)


class Bottleneck(nn.Module):
    """1×1 down to `inner` channels, 3×3 there, 1×1 up to `features` (He et al. 2015, figure 5 right).

    Args:
      features: channels put out; `inner`: channels of the 3×3 convolution, a quarter of them in ResNet-50.
      groups: of the 3×3 convolution (32 in ResNeXt, Xie et al. 2017).
      stride_on_3x3: the 3×3 convolution strides ("v1.5", as torchvision); else the first 1×1, as in the paper.
      strides, shortcut, zero_init_scale, drop_path: as in `BasicBlock`.
    """

    layers: Layers
    features: int
    inner: int
    strides: int = 1
    groups: int = 1
    stride_on_3x3: bool = True
    shortcut: str = "B"
    zero_init_scale: bool = False
    drop_path: float = 0.0

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], train: bool) -> Float[Array, "n h_out w_out features"]:
        """activation(branch(x) + shortcut(x))."""
        layers = self.layers
        first, second = (1, self.strides) if self.stride_on_3x3 else (self.strides, 1)
        y = layers.conv("conv1", self.inner, 1, first, 0)(x)
        y = layers.normalize_and_activate("norm1", y, train=train)
        y = layers.conv("conv2", self.inner, 3, second, 1, groups=self.groups)(y)
        y = layers.normalize_and_activate("norm2", y, train=train)
        y = layers.conv("conv3", self.features, 1, 1, 0)(y)
        return add_shortcut(self, "norm3", x, y, train)
