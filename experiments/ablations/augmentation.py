"""Each augmentation of the lecture, and all of them.

Claim of the lecture: many parameters need much data, hence augmentation: grayscale, rotation by 90°, crop, flip. As
gray images have no colour to lose, each digit gets one, drawn without regard to its class. Three convolutions, on 20
images of each digit, ten epochs. Held equal: network, steps, and the images that are changed. The base changes none.

    cnn-jax ablate experiments/ablations/augmentation.py

Result, in about 4 minutes of one core without the runs' pictures, on an AMD EPYC (Zen 3, AVX2) with jax 0.12.0.1:

| arm | n | mean | of all examples | difference to base | of all examples | p | verdict | correlation | found in 80 % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| base | 9 | 88.83 ± 1.04 % | ± 2.09 % |  |  |  |  |  |  |
| grayscale | 9 | 89.94 ± 0.95 % | ± 2.05 % | +1.11 ± 0.81 % | ± 0.81 % | 0.0312 | higher | 0.67 | 1.71 (1.15 to 3.27) |
| 90° rotation | 9 | 70.81 ± 2.40 % | ± 3.58 % | -18.01 ± 2.29 % | ± 2.87 % | 0.00391 | lower | 0.32 | 4.84 (3.27 to 9.28) |
| crop | 9 | 78.77 ± 2.07 % | ± 3.17 % | -10.06 ± 1.34 % | ± 2.04 % | 0.00391 | lower | 0.83 | 2.84 (1.92 to 5.44) |
| flip | 9 | 82.51 ± 1.63 % | ± 2.79 % | -6.31 ± 1.22 % | ± 1.84 % | 0.00391 | lower | 0.67 | 2.57 (1.74 to 4.92) |
| all four | 9 | 32.96 ± 4.67 % | ± 5.14 % | -55.87 ± 5.35 % | ± 5.81 % | 0.00391 | lower | -0.60 | 11.31 (7.64 to 21.68) |

The claim shows for grayscale alone, which takes away what does not matter: 1.1 points. The others change what a digit
is, a turned 6 being a 9, or cost more than they bring in ten epochs: a crop of one pixel is much where an image has
eight. An augmentation has to fit the data, and the length of training.
"""  # noqa: E501

import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from cnn_jax import Ablation, Config, DataConfig, Images, ModelConfig, OptimConfig, TrainConfig, load_dataset
from cnn_jax.modules import ConvUnit, Layers

ONE = {
    "grayscale": "random_grayscale(0.5)",
    "90° rotation": "rotate90()",
    "crop": "pad_crop(1)",
    "flip": "horizontal_flip(0.5)",
}


def tinted(split: str) -> Images:
    """The digits, each in a colour of its own."""
    gray = load_dataset("digits", split)
    tint = np.random.default_rng(0).uniform(0.2, 1.0, (len(gray), 1, 1, 3))
    return Images((gray.images(np.arange(len(gray))) * tint).astype(np.uint8), gray.labels, gray.info.class_names)


class Three(nn.Module):
    """Three convolutions, two of which halve the maps."""

    num_classes: int

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n classes"]:
        layers = Layers()
        for features, strides in ((16, 1), (32, 2), (32, 2)):
            x = ConvUnit(layers, features, 3, strides)(x, train)
        return layers.head(self.num_classes)(x.reshape(x.shape[0], -1))


def ablation() -> Ablation:
    base = Config(
        model=ModelConfig(Three),
        data=DataConfig(tinted, batch_size=16, examples_per_class=20),
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=5e-4, schedule="cosine"),
        train=TrainConfig(epochs=10, log_every=1000, eval_every=1000, checkpoint_every=1000),
    )
    arms = {name: {"data.augment": (augment,)} for name, augment in ONE.items()}
    return Ablation(
        "Which of the lecture's augmentations help on tinted digits?",
        base,
        arms | {"all four": {"data.augment": tuple(ONE.values())}},
        seeds=range(9),
    )
