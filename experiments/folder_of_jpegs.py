"""Your own JPEG files, end to end: the digits, written as 64×64 pictures, read back from a folder for each class.

    python experiments/folder_of_jpegs.py
    cnn-jax train experiments/folder_of_jpegs.py

The first line writes 1,797 files below runs/digits_jpeg, as train/CLASS/NUMBER.jpg, validation/… and test/…. For a
folder of your own, leave it out and say `--data.folder DIR`.

Result: test top-1 99.16 % (seed 0, n = 1) after 786 steps, on two cores of an AMD EPYC (Zen 3, AVX2),
jax 0.12.0.1. More seeds: not yet run.
"""

from pathlib import Path

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig

FOLDER = "runs/digits_jpeg"


def config() -> Config:
    return Config(
        model=ModelConfig("resnet8_cifar"),
        data=DataConfig(
            "folder",
            folder=FOLDER,
            batch_size=64,
            augment=("random_resized_crop(28, scale=(0.6, 1.0))",),
            eval_augment=("resize_shorter(32)", "center_crop(28)"),
        ),
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=5e-4, schedule="cosine", warmup_fraction=0.1),
        train=TrainConfig(epochs=40),
    )


def write(folder: Path) -> None:
    """Writes the digits as JPEG files, one folder a split and a class."""
    import cv2
    import numpy as np

    from cnn_jax.data import load_dataset

    for split in ("train", "validation", "test"):
        digits = load_dataset("digits", split)
        for number, (image, label) in enumerate(zip(digits.images(np.arange(len(digits))), digits.labels, strict=True)):
            path = folder / split / digits.info.class_names[label] / f"{number:04}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), cv2.resize(image, (64, 64), interpolation=cv2.INTER_CUBIC))


if __name__ == "__main__":
    write(Path(FOLDER))
