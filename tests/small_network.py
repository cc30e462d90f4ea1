"""A network of which a step takes as much care as of others, and which compiles in a fraction of LeNet-5's time."""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnn_jax.modules import BatchNorm, Conv


class Small(nn.Module):
    """A convolution, BatchNorm and a classifier: for tests of training that are of no network in particular."""

    num_classes: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, *, train):
        full = {"param_dtype": jnp.promote_types(self.dtype, jnp.float32)}
        x = Conv(4, (3, 3), dtype=self.dtype, name="stem", **full)(images)
        x = nn.relu(BatchNorm(name="stem_norm", **full)(x, train=train))
        x = nn.Dense(self.num_classes, dtype=self.dtype, name="head", **full)(x.reshape(len(x), -1))
        return x.astype(full["param_dtype"])
