"""Pictures of a data set: labelled examples, and what augmentation makes of them."""

import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from cnn_jax.data.augmentation.chain import Chain, apply_augment, parse_augment
from cnn_jax.data.augmentation.mix import apply_mix, parse_mix
from cnn_jax.data.dataset import Dataset
from cnn_jax.data.decoding.host_crop import resize_center_crop
from cnn_jax.paths import local_path

# How image files are shown "as stored".
AS_STORED = resize_center_crop(128, 128)


def draw_examples(
    dataset: Dataset,
    changed: Dataset,
    augment: Chain,
    out: str | os.PathLike[str],
    *,
    heading: str = "",
    columns: int = 8,
) -> Path:
    """Draw labelled examples, one a column: as stored, and below after `augment` in three epochs.

    Args:
      changed: the same examples, cropped by the host as `augment` says; `dataset` itself where it crops nothing.
      out: the image file to write; its ending chooses the format.
      heading: what stands above, after the data set's name.
    """
    images, index, titles = _choose(dataset, columns)
    rows = [("as stored", images)]
    for epoch in range(3):
        drawn = changed.images(index, epoch=np.full(len(index), epoch), seed=0)
        rows.append((f"epoch {epoch}", _augmented(augment, drawn, index, epoch)))
    return _draw(rows, titles, out, f"{dataset.info.name}: {heading}")


def draw_gallery(dataset: Dataset, out: str | os.PathLike[str], *, columns: int = 8) -> Path:
    """Draw labelled examples as stored, and below them one row for every operation of the registry."""
    images, index, titles = _choose(dataset, columns)
    rows = [("as stored", images)]
    rows += [
        (spec, _augmented(parse_augment([spec]), images, index, epoch=0)) for spec in gallery_specs(images.shape[1:])
    ]
    rows += [(spec, _mixed(spec, images)) for spec in ("mixup(1.0)", "cutmix(1.0)")]
    return _draw(rows, titles, out, f"{dataset.info.name}: every operation alone")


def gallery_specs(image_shape: tuple[int, int, int]) -> list[str]:
    """One call of every operation, with sizes that suit the image; those on colour are left out for gray images."""
    height, width, channels = image_shape
    side = min(height, width)
    specs = [
        f"pad_crop({max(1, side // 8)})",
        f"random_crop({max(1, 3 * height // 4)}, {max(1, 3 * width // 4)})",
        f"random_resized_crop({height}, {width})",
        f"resize({2 * height}, {2 * width})",
        f"resize_shorter({2 * side})",
        f"center_crop({max(1, 3 * height // 4)}, {max(1, 3 * width // 4)})",
        f"pad({max(1, side // 8)})",
        "horizontal_flip()",
        "vertical_flip()",
        "rotate(15)",
        "brightness(0.5)",
        "contrast(0.5)",
        f"cutout({max(1, side // 2)})",
        "random_erasing(1.0)",
        "rand_augment()",
        "trivial_augment()",
    ]
    if height == width:
        specs.append("rotate90()")
    if channels == 3:
        specs += [
            "to_gray()",
            "grayscale()",
            "random_grayscale(0.5)",
            "saturation(0.8)",
            "hue(0.3)",
            "pca_lighting(0.5)",
        ]
    else:
        specs.append("to_rgb()")
    return specs


def _choose(dataset: Dataset, columns: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The first example of as many classes as there are columns, then the next ones of each."""
    labels = dataset.labels
    order = np.argsort(labels, kind="stable")
    rank = np.empty(len(labels), int)  # how many examples of its class come before each example
    starts = np.searchsorted(labels[order], labels[order])
    rank[order] = np.arange(len(labels)) - starts
    index = np.lexsort((labels, rank))[:columns].astype(np.int32)
    return dataset.images(index), index, [dataset.info.class_names[label] for label in labels[index]]


def _augmented(augment: Chain, images: np.ndarray, index: np.ndarray, epoch: int) -> np.ndarray:
    epochs = np.full(len(index), epoch, np.int32)
    addresses = {"epoch": jnp.asarray(epochs), "index": jnp.asarray(index)}
    changed = apply_augment(augment, jnp.asarray(images), seed=0, **addresses)
    return np.asarray(np.clip(np.rint(changed), 0, 255), np.uint8)


def _mixed(spec: str, images: np.ndarray) -> np.ndarray:
    targets = jnp.eye(len(images), dtype=jnp.float32)
    mixed, _ = apply_mix(parse_mix([spec]), jnp.asarray(images), targets, seed=0, step=jnp.int32(0))
    return np.asarray(np.rint(mixed), np.uint8)


def _draw(rows: list[tuple[str, np.ndarray]], titles: list[str], out: str | os.PathLike[str], heading: str) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.1 * len(titles) + 1.6, 1.15 * len(rows) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for row, (name, images) in enumerate(rows):
        for column, image in enumerate(images):
            place = axes[row, column]
            gray = image.shape[-1] == 1
            place.imshow(image[..., 0] if gray else image, cmap="gray" if gray else None, vmin=0, vmax=255)
            place.set(xticks=[], yticks=[])
            if row == 0:
                place.set_title(titles[column], fontsize=8)
        axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    figure.suptitle(heading, fontsize=10)
    path = local_path(out, "--out", utf8=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path
