"""One 5×5 convolution against two 3×3.

Claim of the lecture: a 5×5 region needs 25 weights, a 3×3 filter moved around it nine, and two of them in a row see the
same region with 18. Two such views in a row behind one 3×3, on 20 images of each digit, ten epochs. With 12 channels
everywhere, 7,870 parameters become 5,902, and 295,392 MACs 214,752; "as many weights" has 14 channels, hence 7,892
parameters (+0.3 %) and 290,864 MACs.

    cnn-jax ablate experiments/ablations/two_3x3.py

Result, in about 3 minutes of one core without the runs' pictures, on an AMD EPYC (Zen 3, AVX2) with jax 0.12.0.1:

| arm | n | mean | of all examples | difference to base | of all examples | p | verdict | correlation | found in 80 % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| base | 9 | 93.31 ± 1.34 % | ± 1.89 % |  |  |  |  |  |  |
| two 3×3 | 9 | 91.67 ± 1.72 % | ± 2.19 % | -1.64 ± 1.76 % | ± 1.80 % | 0.0703 | no difference found | 0.36 | 2.91 (1.97 to 5.58) |
| two 3×3, as many weights | 9 | 92.63 ± 1.59 % | ± 2.10 % | -0.68 ± 0.94 % | ± 0.99 % | 0.141 | no difference found | 0.81 | 1.56 (1.05 to 2.98) |

No difference found, with 18 weights for 25 nor with as many: two 3×3 may be 3.4 points worse or 0.1 better (by the
interval), and nine seeds would have found 2.9. That they do no better is no surprise on 8×8 pixels; that they do as
well is not shown either.
"""  # noqa: E501

from flax import linen as nn
from jaxtyping import Array, Float

from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig, max_pool
from cnn_jax.modules import BatchNorm, Conv


class Views(nn.Module):
    """Two units with a view of 5×5 pixels each, at 8×8 and at 4×4."""

    num_classes: int
    kernel: int = 5
    features: int = 12

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n classes"]:
        def unit(x: Array, kernel: int) -> Array:
            return nn.relu(BatchNorm()(Conv(self.features, kernel, use_bias=False)(x), train=train))

        x = unit(x, 3)
        for _ in range(2):
            x = unit(unit(x, 3), 3) if self.kernel == 3 else unit(x, 5)
            x = max_pool(x, 2)
        return nn.Dense(self.num_classes)(x.reshape(x.shape[0], -1))


def ablation() -> Ablation:
    base = Config(
        model=ModelConfig(Views),
        data=DataConfig("digits", batch_size=16, examples_per_class=20),
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=5e-4, schedule="cosine"),
        train=TrainConfig(epochs=10, log_every=1000, eval_every=1000, checkpoint_every=1000),
    )
    arms = {
        "two 3×3": {"model.options.kernel": 3},
        "two 3×3, as many weights": {"model.options.kernel": 3, "model.options.features": 14},
    }
    return Ablation("Do two 3×3 convolutions do as well as the 5×5 whose view they have?", base, arms, seeds=range(9))
