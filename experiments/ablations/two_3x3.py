"""One 5×5 convolution against two 3×3.

Claim of the lecture: a 5×5 region needs 25 weights, a 3×3 filter moved around it nine, and two of them in a row see the
same region with 18. Two such views in a row behind one 3×3, on 20 images of each digit. With 12 channels everywhere,
7,870 parameters become 5,902, and 295,392 MACs 214,752; "as many weights" has 14 channels, hence 7,892 parameters (+0.3
%) and 290,864 MACs.

    cnn-jax ablate experiments/ablations/two_3x3.py

Not yet run.
"""

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
