"""Two tiny networks to look into: one that names its features, and one of a user's own that names none."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cnn_jax.models import Network
from cnn_jax.modules import Conv

SHAPE = (8, 10, 2)


class Named(Network):
    """Two convolutions, the second with stride 2, a smooth activation, a linear classifier."""

    @nn.compact
    def __call__(self, images, *, train):
        x = self.expose("stem", nn.tanh(Conv(3, (3, 3), padding=1, name="first")(images)))
        x = self.expose("stage1", nn.tanh(Conv(4, (3, 3), 2, padding=1, name="second")(x)))
        x = self.expose("pool", x.mean((1, 2)))
        return self.classify(x)


class Own(nn.Module):
    """One convolution that is called twice, ReLU by hand, and no name for anything."""

    num_classes: int = 3

    @nn.compact
    def __call__(self, images, *, train):
        conv = nn.Conv(2, (3, 3))
        x = conv(conv(images))
        x = jnp.where(x > 0, x, 0)
        return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


def variables_of(model, seed=0):
    return model.init(jax.random.key(seed), jnp.zeros((1, *SHAPE)), train=False)


def some_images(number=2, seed=1):
    return np.random.default_rng(seed).normal(size=(number, *SHAPE)).astype(np.float32)
