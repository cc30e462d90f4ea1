"""EMNIST: six ways to split NIST's handwritten characters, in one zip of IDX files of transposed images."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from cnn_jax.data.errors import DataError
from cnn_jax.data.sets.archive import check_archive, need_source, open_member
from cnn_jax.data.sets.idx import parse_idx
from cnn_jax.data.sets.raw import RawSplit

_ARCHIVE = "gzip.zip"


def emnist(split_name: str) -> Callable[[Path | None], Mapping[str, RawSplit]]:
    """The reader of one of byclass, bymerge, balanced, letters, digits, mnist."""
    return partial(_read, split_name)


def _read(split_name: str, source: Path | None) -> Mapping[str, RawSplit]:
    name = f"emnist/{split_name}"
    place = need_source(source, name)
    check_archive("emnist", place, _ARCHIVE)
    splits = {}
    for split in ("train", "test"):
        stem = f"gzip/emnist-{split_name}-{split}"
        images = _member(place, f"{stem}-images-idx3-ubyte.gz")
        labels = _member(place, f"{stem}-labels-idx1-ubyte.gz")
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise DataError(
                f"{place}: {split} images {images.shape} and labels {labels.shape} of {name} do not belong together."
            )
        first = 1 if split_name == "letters" else 0  # letters are numbered from 1
        splits[split] = RawSplit(images.transpose(0, 2, 1)[..., np.newaxis], labels.astype(np.int32) - first)
    return splits


def _member(source: Path, member: str) -> np.ndarray:
    with open_member(source, _ARCHIVE, member) as file:
        return parse_idx(file, f"{member} from {source}")
