"""Basic blocks against bottlenecks, at equal MACs.

Claim of the lecture: reduce the channels by 1×1, do the 3×3 there, and go back: less computation, more depth. Two
stages behind the same stem, on 20 images of each digit, ten epochs. Bottlenecks spend what they save on channels (56
and 112 in place of 16 and 32) or on depth (eight blocks of 32 and 64 channels in place of two: 25 convolutions beside
shortcuts in place of 5). MACs are held equal: 144,704 for the base, 146,528 (+1.3 %) and 147,200 (+1.7 %).

    cnn-jax ablate experiments/ablations/bottleneck.py

Result, in about 5 minutes of one core without the runs' pictures, on an AMD EPYC (Zen 3, AVX2) with jax 0.12.0.1:

| arm | n | mean | of all examples | difference to base | of all examples | p | verdict | correlation | found in 80 % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| base | 9 | 88.61 ± 1.27 % | ± 2.26 % |  |  |  |  |  |  |
| more channels | 9 | 86.82 ± 1.97 % | ± 2.78 % | -1.80 ± 1.74 % | ± 1.75 % | 0.0586 | no difference found | 0.49 | 2.89 (1.95 to 5.53) |
| more depth | 9 | 80.50 ± 2.52 % | ± 3.04 % | -8.11 ± 2.54 % | ± 2.60 % | 0.00391 | lower | 0.24 | 4.21 (2.85 to 8.07) |

The claim does not show. At equal MACs, channels bring nothing that was found, and depth costs 8 points: 25 convolutions
of 7 to 64 channels learn less in ten epochs than 5 of 16 and 32. Bottlenecks were made for 256 channels and more.
"""  # noqa: E501

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
