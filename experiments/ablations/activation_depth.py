"""Sigmoid against ReLU, by depth.

Claim of the lecture: the sigmoid's slope is at most 0.25, and multiplying 0.25 again and again makes gradients vanish,
so ReLU, whose slope is 1 wherever it lets the signal through. Networks of 1, 2 and 4 convolutions without
normalisation, on 50 images of each digit, ten epochs; the base is ReLU with one. Held equal at each depth: parameters,
rate, He's initialisation, order. All have one rate, at which the shallow sigmoid trains.

    cnn-jax ablate experiments/ablations/activation_depth.py

Not yet run.
"""

from flax import linen as nn
from jaxtyping import Array, Float

from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
from cnn_jax.modules import Layers


class Plain(nn.Module):
    """So many 3×3 convolutions of 16 channels, each with the activation; then one linear layer."""

    num_classes: int
    depth: int = 2
    activation: str = "relu"

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n classes"]:
        layers = Layers(activation=self.activation, norm="none")
        for i in range(self.depth):
            x = layers.activate(layers.conv(f"conv{i + 1}", 16, 3)(x))
        return layers.head(self.num_classes)(x.reshape(x.shape[0], -1))


def ablation() -> Ablation:
    base = Config(
        model=ModelConfig(Plain, options={"depth": 1, "activation": "relu"}),
        data=DataConfig("digits", batch_size=32, examples_per_class=50),
        optim=OptimConfig("sgd", learning_rate=0.2, schedule="cosine"),
        train=TrainConfig(epochs=10, log_every=1000, eval_every=1000, checkpoint_every=1000),
    )
    arms = {
        f"{activation}, depth {depth}": {"model.options.activation": activation, "model.options.depth": depth}
        for activation in ("relu", "sigmoid")
        for depth in (1, 2, 4)
        if (activation, depth) != ("relu", 1)
    }
    return Ablation(
        "Does ReLU train where the sigmoid's gradients vanish, and from which depth on?", base, arms, seeds=range(9)
    )
