"""MNIST and the sets that took over its four files and their names."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from cnn_jax.data.errors import DataError
from cnn_jax.data.sets.archive import check_official, find_archive, need_source
from cnn_jax.data.sets.idx import read_idx
from cnn_jax.data.sets.raw import RawSplit

_STEMS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def mnist_like(name: str) -> Callable[[Path | None], Mapping[str, RawSplit]]:
    """The reader of the four IDX files of `name`, compressed or not."""
    return partial(_read, name)


def _read(name: str, source: Path | None) -> Mapping[str, RawSplit]:
    folder = need_source(source, name)
    return {split: _read_pair(name, folder, *stems) for split, stems in _STEMS.items()}


def _read_pair(name: str, folder: Path, images_stem: str, labels_stem: str) -> RawSplit:
    paths = [find_archive(folder, f"{stem}.gz", stem) for stem in (images_stem, labels_stem)]
    images, labels = map(read_idx, paths)
    for path, content in zip(paths, (images, labels), strict=True):
        check_official(name, path, content)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(
            f"{paths[0]} and {paths[1]} do not belong together: images {images.shape}, labels {labels.shape}; "
            "fetch both again."
        )
    return RawSplit(images[..., np.newaxis], labels)
