"""CIFAR-10 and CIFAR-100 in their binary versions: one or two label bytes, then the red, green and blue planes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnn_jax.data.sets.archive import check_archive, need_source
from cnn_jax.data.sets.raw import RawSplit
from cnn_jax.data.sets.records import read_records

_PIXELS = 3 * 32 * 32


def read_cifar10(source: Path | None) -> Mapping[str, RawSplit]:
    """CIFAR-10 from cifar-10-binary.tar.gz, packed or unpacked."""
    batches = [f"data_batch_{number}.bin" for number in range(1, 6)]
    return _read(
        "cifar10", source, "cifar-10", "cifar-10-batches-bin", {"train": batches, "test": ["test_batch.bin"]}, 1
    )


def read_cifar100(source: Path | None) -> Mapping[str, RawSplit]:
    """CIFAR-100 with its 100 fine labels from cifar-100-binary.tar.gz, packed or unpacked."""
    return _read("cifar100", source, "cifar-100", "cifar-100-binary", {"train": ["train.bin"], "test": ["test.bin"]}, 2)


def _read(
    name: str, source: Path | None, stem: str, folder: str, files: dict[str, list[str]], label_bytes: int
) -> Mapping[str, RawSplit]:
    place, archive = need_source(source, name), f"{stem}-binary.tar.gz"
    check_archive(name, place, archive)
    splits = {}
    for split, members in files.items():
        records = np.concatenate(
            [read_records(place, archive, f"{folder}/{member}", label_bytes + _PIXELS) for member in members]
        )
        planes = records[:, label_bytes:].reshape(-1, 3, 32, 32)
        labels = records[:, label_bytes - 1].astype(np.int32)  # the fine label comes last
        splits[split] = RawSplit(np.moveaxis(planes, 1, -1), labels)
    return splits
