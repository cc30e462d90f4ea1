"""Each augmentation of the lecture, and all of them.

Claim of the lecture: many parameters need much data, hence augmentation: grayscale, rotation by 90°, crop, flip. As
gray images have no colour to lose, the data set is Fashion-MNIST at 14×14 with each image in a colour drawn without
regard to its class: 200 images of each class to train on, the whole test split of 10,000. Three convolutions, eight
epochs. Held equal: network, steps, and the images that are changed. The base changes none.

    cnn-jax data prepare fashion_mnist --source DIR
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


def tinted(split: str) -> Images | None:
    """Fashion-MNIST at 14×14, each image in a colour of its own; of the training split a tenth."""
    if split == "validation":
        return None
    gray = load_dataset("fashion_mnist", split, validation_fraction=0.0)
    rows = np.arange(0, len(gray), 10 if split == "train" else 1)
    small = gray.images(rows).reshape(len(rows), 14, 2, 14, 2, 1).mean((2, 4))
    tint = np.random.default_rng(0).uniform(0.2, 1.0, (len(rows), 1, 1, 3))
    return Images((small * tint).astype(np.uint8), gray.labels[rows], gray.info.class_names)


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
        data=DataConfig(tinted, batch_size=32, examples_per_class=200, validation_fraction=0.0),
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=5e-4, schedule="cosine"),
        train=TrainConfig(epochs=8, log_every=1000, checkpoint_every=1000),
    )
    arms = {name: {"data.augment": (augment,)} for name, augment in ONE.items()}
    return Ablation(
        "Which of the lecture's augmentations help on tinted clothes?",
        base,
        arms | {"all four": {"data.augment": tuple(ONE.values())}},
        seeds=range(9),
    )
