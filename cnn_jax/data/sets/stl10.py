"""STL-10's binary version: planes in column-major order, labels from 1, ten folds of the training images."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from cnn_jax.data.errors import DataError
from cnn_jax.data.sets.archive import check_archive, need_source, open_member
from cnn_jax.data.sets.raw import RawSplit
from cnn_jax.data.sets.records import read_records, stream_records

_ARCHIVE, _FOLDER = "stl10_binary.tar.gz", "stl10_binary"
_SIDE = 96
_RECORD = 3 * _SIDE * _SIDE


def read_stl10(source: Path | None) -> Mapping[str, RawSplit]:
    """The splits train, test and unlabelled (every label −1); the folds go with the training images."""
    place = need_source(source, "stl10")
    check_archive("stl10", place, _ARCHIVE)
    splits = {}
    for split in ("train", "test"):
        labels = read_records(place, _ARCHIVE, f"{_FOLDER}/{split}_y.bin", 1)[:, 0].astype(np.int32) - 1
        splits[split] = RawSplit(_Images(place, f"{split}_X.bin"), labels)
    unlabelled = _Images(place, "unlabeled_X.bin")
    splits["unlabelled"] = RawSplit(unlabelled, np.full(unlabelled.count(), -1, np.int32), labelled=False)
    return splits


def read_folds(source: Path | None) -> dict[str, list[int]]:
    """The training examples of each of the ten folds, "fold0" … "fold9"."""
    with open_member(need_source(source, "stl10"), _ARCHIVE, f"{_FOLDER}/fold_indices.txt") as file:
        lines = file.read().decode().splitlines()
    folds = {
        f"fold{number}": [int(index) for index in line.split()] for number, line in enumerate(lines) if line.strip()
    }
    if len(folds) != 10:
        raise DataError(
            f"fold_indices.txt from {source} has {len(folds)} folds instead of 10; fetch the archive again."
        )
    return folds


class _Images:
    """The images of a file, read anew at each pass: the unlabelled ones take 2.8 GB."""

    def __init__(self, source: Path, member: str) -> None:
        self._where = (source, _ARCHIVE, f"{_FOLDER}/{member}", _RECORD)

    def __iter__(self) -> Iterator[np.ndarray]:
        for record in stream_records(*self._where):
            yield record.reshape(3, _SIDE, _SIDE).transpose(2, 1, 0)  # planes of columns to rows of pixels

    def count(self) -> int:
        return sum(1 for _ in stream_records(*self._where))
