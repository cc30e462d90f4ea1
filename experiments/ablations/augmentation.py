"""Each augmentation of the lecture, and all of them.

Claim of the lecture: many parameters need much data, hence augmentation: grayscale, rotation by 90°, crop, flip. As
gray images have no colour to lose, each digit gets one, drawn without regard to its class. Three convolutions, on 20
images of each digit, 20 epochs. Held equal: network, steps, and the images that are changed. The base changes none.

    cnn-jax ablate experiments/ablations/augmentation.py

Not yet run.
"""

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
        "Which of the lecture's augmentations help on tinted clothes?",
        base,
        arms | {"all four": {"data.augment": tuple(ONE.values())}},
        seeds=range(9),
    )
