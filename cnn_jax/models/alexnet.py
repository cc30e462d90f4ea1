"""AlexNet, twice: the network of 2012, and the single tower that torchvision has.

Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks", §3.5: two
groups of filters (one a GPU), local response normalisation, overlapping pooling; 60,965,224 parameters. Then one tower
without normalisation: Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks".
"""

import flax.linen as nn
from jaxtyping import Array, Float

from cnn_jax.models.network import Network, Norm, Pool
from cnn_jax.ops import adaptive_avg_pool, avg_pool, local_response_norm, max_pool


class AlexNet(Network):
    """Five convolutions and three fully connected layers, called `conv1` … `conv5`, `fc6`, `fc7`, `head`.

    Args:
      conv_features: channels of the five convolutions.
      conv_groups: groups of each. Two where each GPU of 2012 saw its own maps only.
      first_padding: zeros around the image: 2 in torchvision; 0 in the paper, whose images are really 227×227.
      response_norm: local response normalisation after the first two convolutions (§3.3).
      bias_of_one: biases of one in conv2, conv4, conv5 and the hidden layers, so that ReLUs start alive (§5).
      dropout_before: dropout before each hidden layer (torchvision); else after it, as in the paper (§4.2).
      pool: What down-samples: the maximum or the mean of a window.
    """

    conv_features: tuple[int, ...] = (64, 192, 384, 256, 256)
    conv_groups: tuple[int, ...] = (1, 1, 1, 1, 1)
    first_padding: int = 2
    response_norm: bool = False
    bias_of_one: bool = False
    dropout_before: bool = True
    norm: Norm = "none"
    dropout: float = 0.5
    pool: Pool = "max"

    structure = (
        *("conv_features", "conv_groups", "first_padding", "response_norm", "bias_of_one"),
        "dropout_before",
    )

    @nn.compact
    def __call__(self, images: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n classes"]:
        """Logits of images of at least 67×67 (63×63 with padding); the last maps are averaged to 6×6 (torchvision)."""
        pool = max_pool if self.pool == "max" else avg_pool
        x = self.check_images(images, minimum_size=67 - 2 * self.first_padding)
        x = self.expose("stem", self.convolve(1, x, 11, 4, self.first_padding, train))
        x = self.expose("stage1", pool(x, 3, 2))
        x = self.expose("stage2", pool(self.convolve(2, x, 5, 1, 2, train), 3, 2))
        for i in (3, 4, 5):
            x = self.convolve(i, x, 3, 1, 1, train)
        x = self.expose("stage3", pool(x, 3, 2))
        x = self.expose("pool", adaptive_avg_pool(x, 6))
        return self.classify(self.hidden_layers(x.reshape(x.shape[0], -1), train))

    def convolve(self, number: int, x: Array, kernel_size: int, strides: int, padding: int, train: bool) -> Array:
        """The convolution of that number, activated, and normalised in the first two layers of 2012."""
        layers, groups = self.layers(), self.conv_groups[number - 1]
        features = self.scaled(self.conv_features[number - 1], multiple_of=max(self.conv_groups))
        bias = 1.0 if self.bias_of_one and number in (2, 4, 5) else 0.0
        x = layers.conv(
            f"conv{number}", features, kernel_size, strides, padding, groups=groups, use_bias=True, bias_value=bias
        )(x)
        x = layers.normalize_and_activate(f"norm{number}", x, train=train)
        return local_response_norm(x) if self.response_norm and number <= 2 else x

    def hidden_layers(self, x: Array, train: bool) -> Array:
        """Two hidden layers of 4,096 units with dropout."""
        layers = self.layers()
        for name in ("fc6", "fc7"):
            if self.dropout_before:
                x = self.drop(f"{name}_dropout", x, train)
            x = layers.activate(layers.dense(name, self.scaled(4096), bias_value=float(self.bias_of_one))(x))
            if not self.dropout_before:
                x = self.drop(f"{name}_dropout", x, train)
        return x
