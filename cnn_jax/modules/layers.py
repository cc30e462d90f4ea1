"""What the layers of one network share, and constructors that apply it."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.modules.activations import ACTIVATIONS, activate
from cnn_jax.modules.conv import Conv, Padding, Pair
from cnn_jax.modules.dense import Dense
from cnn_jax.modules.initializers import initializer
from cnn_jax.modules.norm import BatchNorm, GroupNorm


def parameter_dtype(dtype: Any) -> Any:
    """The dtype of parameters, statistics and logits beside a compute `dtype`: float32, but float64 for float64."""
    return jnp.float64 if jnp.dtype(dtype) == jnp.float64 else jnp.float32


@dataclasses.dataclass(frozen=True)
class Layers:
    """The common choices of a network; blocks take one and build their layers with it.

    Args:
      dtype: the dtype of the computation; see `parameter_dtype` for that of the parameters.
      activation: a key of `ACTIVATIONS`.
      norm: "batch", "group" (32 groups), "layer" (one group) or "none" (then the convolutions have biases instead).
      init: a key of `INITIALIZERS`.
      epsilon: as in `BatchNorm`.
      remat: whether blocks forget their activations in the forward pass and compute them again in the backward pass.
    """

    dtype: Any = jnp.float32
    activation: str = "relu"
    norm: str = "batch"
    init: str = "he"
    epsilon: float = 1e-5
    remat: bool = False

    def conv(
        self,
        name: str,
        features: int,
        kernel_size: Pair,
        strides: Pair = 1,
        padding: Padding = "SAME",
        *,
        groups: int = 1,
        use_bias: bool | None = None,
        bias_value: float = 0.0,
    ) -> Conv:
        """A `Conv` called `name`. `use_bias` None: a bias only where no normalisation can follow."""
        return Conv(
            features,
            kernel_size,
            strides,
            padding,
            groups=groups,
            use_bias=self.norm == "none" if use_bias is None else use_bias,
            dtype=self.dtype,
            param_dtype=parameter_dtype(self.dtype),
            kernel_init=initializer(self.init),
            bias_init=nn.initializers.constant(bias_value),
            name=name,
        )

    def dense(self, name: str, features: int, *, bias_value: float = 0.0) -> Dense:
        """A fully connected layer called `name`."""
        return self._dense(name, features, self.dtype, self.init, bias_value)

    def head(self, num_classes: int, name: str = "head") -> Dense:
        """The classifier, in the parameters' dtype. No ReLU follows it, so He's factor of two goes."""
        init = "lecun" if self.init == "he" else self.init
        return self._dense(name, num_classes, parameter_dtype(self.dtype), init)

    def _dense(self, name: str, features: int, dtype: Any, init: str, bias_value: float = 0.0) -> Dense:
        return Dense(
            features,
            dtype=dtype,
            param_dtype=parameter_dtype(self.dtype),
            kernel_init=initializer(init),
            bias_init=nn.initializers.constant(bias_value),
            name=name,
        )

    def normalize(
        self, name: str, x: Float[Array, "n h w c"], *, train: bool, zero_scale: bool = False
    ) -> Float[Array, "n h w c"]:
        """Normalises `x` by a layer called `name`; `zero_scale` starts its scale at zero. Identity for norm "none"."""
        common = self._of_norm(name, zero_scale)
        match self.norm:
            case "batch":
                return BatchNorm(epsilon=self.epsilon, **common)(x, train=train)
            case "group" | "layer":
                return GroupNorm(32 if self.norm == "group" else 1, **common)(x, train=train)
            case "none":
                return x
        raise ValueError(f"unknown normalisation {self.norm!r}; it is one of batch, group, layer, none.")

    def normalize_and_activate(
        self,
        name: str,
        x: Float[Array, "n h w c"],
        *,
        train: bool,
        zero_scale: bool = False,
        shortcut: Float[Array, "n h w c"] | None = None,
    ) -> Float[Array, "n h w c"]:
        """activation(normalised x + shortcut).

        In training, batch normalisation itself adds and applies a ReLU (`ops.batch_norm`); not in evaluation, where a
        normalisation's output is a feature that is looked at.
        """
        if train and self.norm == "batch" and ACTIVATIONS.get(self.activation) is nn.relu:
            norm = BatchNorm(epsilon=self.epsilon, **self._of_norm(name, zero_scale))
            return norm(x, train=train, shortcut=shortcut, relu=True)
        y = self.normalize(name, x, train=train, zero_scale=zero_scale)
        return self.activate(y if shortcut is None else y + shortcut)

    def _of_norm(self, name: str, zero_scale: bool) -> dict[str, Any]:
        scale_init = nn.initializers.zeros_init() if zero_scale else nn.initializers.ones_init()
        return dict(param_dtype=parameter_dtype(self.dtype), scale_init=scale_init, name=name)

    def activate(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The network's activation of `x`."""
        return activate(self.activation, x)

    def block(self, kind: type[nn.Module]) -> type[nn.Module]:
        """The class `kind` itself, or under `remat` its rematerialised form, for calls with (x, train)."""
        return nn.remat(kind, static_argnums=(2,)) if self.remat else kind
