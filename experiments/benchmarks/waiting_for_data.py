"""The part of a training loop's time in which it has no batch, `time/waiting_for_data`, at the end of two short runs.

    cnn-jax data prepare fashion_mnist --source DIR
    python experiments/benchmarks/waiting_for_data.py [small | files]

small: resnet20_cifar on Fashion-MNIST, batches of 128, padded, cropped and flipped on the device. files: resnet50 on a
folder of JPEG files of 500×375, batches of 16, random-resized-crop to 224 on the host.
"""

import dataclasses
import sys
import tempfile
from pathlib import Path

import numpy as np

import cnn_jax
from cnn_jax import Config, DataConfig, ModelConfig, TrainConfig
from cnn_jax.runs.folder.run import read_metrics

SMALL = Config(
    model=ModelConfig("resnet20_cifar"),
    data=DataConfig("fashion_mnist", batch_size=128, augment=("pad_crop(4)", "horizontal_flip()")),
    train=TrainConfig(steps=90, log_every=30),
)
FILES = Config(
    model=ModelConfig("resnet50"),
    data=DataConfig(
        "folder",
        batch_size=16,
        augment=("random_resized_crop(224)", "horizontal_flip()"),
        eval_augment=("resize_shorter(256)", "center_crop(224)"),
    ),
    train=TrainConfig(steps=12, log_every=4),
)


def write(folder: Path, count: int = 64) -> None:
    """Writes noisy waves as JPEG files, in two classes, for training, validation and test."""
    import cv2

    rows, columns = np.mgrid[0:375, 0:500]
    for split, number in (("train", count), ("validation", 8), ("test", 8)):
        for seed in range(number):
            random = np.random.default_rng(seed)
            wave = 128 + 90 * np.sin(rows / random.uniform(8, 40) + columns / random.uniform(8, 40))
            picture = wave[..., None] + random.normal(0, 8, (375, 500, 3))
            path = folder / split / f"class{seed % 2}" / f"{seed}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.clip(picture, 0, 255).astype(np.uint8))


def measure(name: str, config: Config) -> None:
    """Trains, and prints the part of the time that the last steps waited."""
    with tempfile.TemporaryDirectory() as folder:
        cnn_jax.train(config, folder)
        line = [line for line in read_metrics(Path(folder)) if line["split"] == "train"][-1]
    print(f"{name}: {line['time/waiting_for_data']:.2%} of the time, at {line['time/images_per_s']:.0f} images/s")


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["small", "files"]
    if "small" in wanted:
        measure("resnet20_cifar on Fashion-MNIST", SMALL)
    if "files" in wanted:
        with tempfile.TemporaryDirectory() as place:
            write(Path(place) / "pictures")
            data = dataclasses.replace(FILES.data, folder=f"{place}/pictures", root=f"{place}/root")
            measure("resnet50 on JPEG files", dataclasses.replace(FILES, data=data))
