"""Basic blocks against bottlenecks, at equal MACs.

Claim of the lecture: reduce the channels by 1×1, do the 3×3 there, and go back: less computation, more depth. Two
stages behind the same stem, on 20 images of each digit. Bottlenecks spend what they save on channels (56 and 112 in
place of 16 and 32) or on depth (eight blocks of 32 and 64 channels in place of two: 25 convolutions beside shortcuts in
place of 5). MACs are held equal: 144,704 for the base, 146,528 (+1.3 %) and 147,200 (+1.7 %).

    cnn-jax ablate experiments/ablations/bottleneck.py

Not yet run.
"""

from flax import linen as nn
from jaxtyping import Array, Float

from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
from cnn_jax.modules import BasicBlock, Bottleneck, ConvUnit, Layers


class Blocks(nn.Module):
    """A stem, then two stages of residual blocks at 4×4 and at 2×2, the second with twice the channels."""

    num_classes: int
    depth: int = 1
    features: int = 16
    inner: int = 0

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n classes"]:
        layers = Layers()
        x = ConvUnit(layers, 16, 3)(x, train)
        for factor in (1, 2):
            for block in range(self.depth):
                features, inner, strides = factor * self.features, factor * self.inner, 2 if block == 0 else 1
                if inner:
                    x = Bottleneck(layers, features, inner, strides)(x, train)
                else:
                    x = BasicBlock(layers, features, strides)(x, train)
        return layers.head(self.num_classes)(x.mean((1, 2)))


def ablation() -> Ablation:
    base = Config(
        model=ModelConfig(Blocks),
        data=DataConfig("digits", batch_size=16, examples_per_class=20),
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=5e-4, schedule="cosine", warmup_fraction=0.1),
        train=TrainConfig(epochs=10, log_every=1000, eval_every=1000, checkpoint_every=1000),
    )
    arms = {
        "more channels": {"model.options.features": 56, "model.options.inner": 12},
        "more depth": {"model.options.features": 32, "model.options.inner": 7, "model.options.depth": 4},
    }
    return Ablation("Are bottlenecks better than basic blocks at equal MACs?", base, arms, seeds=range(9))
