"""Inception blocks against one path, at equal parameters.

Claim of the lecture: GoogLeNet's inception looks at the same maps through filters of several sizes at once. Two blocks
with an eighth of the channels of 3a and 3b, on 20 images of each digit for 20 epochs, against a single 3×3 and a 3×3
behind a 1×1 that reduces the channels. Parameters are held equal: 9,446 for the base, 9,386 and 9,399 for the others
(within 0.7 %); MACs are 256,856, 258,488 and 261,354.

    cnn-jax ablate experiments/ablations/inception.py

Result, in about 4 minutes of one core with the pictures of some runs, on an AMD EPYC (Zen 3, AVX2) with jax 0.12.0.1:

| arm | n | mean | of all examples | difference to base | of all examples | p | verdict | correlation | found in 80 % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| base | 9 | 91.24 ± 1.73 % | ± 2.34 % |  |  |  |  |  |  |
| 3×3 | 9 | 93.78 ± 1.14 % | ± 1.78 % | +2.54 ± 1.50 % | ± 1.53 % | 0.00781 | higher | 0.52 | 2.49 (1.68 to 4.77) |
| 1×1, then 3×3 | 9 | 90.47 ± 2.17 % | ± 2.58 % | -0.77 ± 2.59 % | ± 2.61 % | 0.543 | no difference found | 0.14 | 4.29 (2.89 to 8.21) |

The claim does not show, rather the contrary: a single 3×3 of as many parameters is 2.5 points higher. The reducing 1×1
convolutions may be what costs: a 3×3 behind one is not told apart from inception. Such narrow blocks, and 8×8 pixels,
where 5×5 filters see half the image, are far from what GoogLeNet was made for.
"""  # noqa: E501

from flax import linen as nn
from jaxtyping import Array, Float

from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig, max_pool
from cnn_jax.modules import ConvUnit, Inception, Layers

INCEPTION = (8, 12, 16, 2, 4, 4), (16, 16, 24, 4, 12, 8)


class Paths(nn.Module):
    """A stem, two blocks with pooling between."""

    num_classes: int
    path: str = "inception"

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n classes"]:
        layers = Layers()

        def unit(features: int, kernel: int, x: Array) -> Array:
            return ConvUnit(layers, features, kernel)(x, train)

        x = unit(16, 3, x)
        for block in range(2):
            match self.path:
                case "inception":
                    x = Inception(layers, *INCEPTION[block])(x, train)
                case "3x3":
                    x = unit((16, 44)[block], 3, x)
                case "1x1-3x3":
                    x = unit((32, 57)[block], 3, unit((8, 11)[block], 1, x))
            x = max_pool(x, 2)
        return layers.head(self.num_classes)(x.mean((1, 2)))


def ablation() -> Ablation:
    base = Config(
        model=ModelConfig(Paths),
        data=DataConfig("digits", batch_size=16, examples_per_class=20),
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=5e-4, schedule="cosine"),
        train=TrainConfig(epochs=20, log_every=1000, eval_every=1000, checkpoint_every=1000),
    )
    arms = {
        "3×3": {"model.options.path": "3x3"},
        "1×1, then 3×3": {"model.options.path": "1x1-3x3"},
    }
    return Ablation("Is an inception block better than one path of as many parameters?", base, arms, seeds=range(9))
