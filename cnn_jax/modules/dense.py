"""The fully connected layer."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import Initializer
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.modules.initializers import INITIALIZERS
from cnn_jax.ops import add_bias


class Dense(nn.Module):
    """Every unit sees every input: x · kernel + bias, as Flax's layer, but with the bias's gradient summed wide.

    Args:
      features: number of units.
      dtype: the dtype of the computation.
      param_dtype: the dtype of the parameters `kernel` [c, features] and `bias` [features].
      kernel_init, bias_init: initialisers; by default He's, and zero.
    """

    features: int
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32
    kernel_init: Initializer = INITIALIZERS["he"]
    bias_init: Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: Float[Array, "n c"]) -> Float[Array, "n features"]:
        """The units' values, in the layer's dtype."""
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features), self.param_dtype)
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype)
        y = lax.dot_general(x.astype(self.dtype), kernel.astype(self.dtype), (((1,), (0,)), ((), ())))
        return add_bias(y, bias)
