"""Files of fixed-size records without a header: CIFAR's and STL-10's binary versions."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cnn_jax.data.errors import DataError
from cnn_jax.data.sets.archive import open_member


def read_records(source: Path, archive: str, member: str, record_bytes: int) -> np.ndarray:
    """All records of a file in an archive: uint8 [n, record_bytes].

    Raises:
      DataError: where the file is no whole number of records, or as `open_member`.
    """
    with open_member(source, archive, member) as file:
        content = file.read()
    if not content or len(content) % record_bytes:
        raise DataError(
            f"{member} from {source / archive} has {len(content):,} bytes, which is no number of {record_bytes:,}-byte "
            "records; it is cut short, fetch it again."
        )
    return np.frombuffer(content, np.uint8).reshape(-1, record_bytes)


def stream_records(source: Path, archive: str, member: str, record_bytes: int) -> Iterator[np.ndarray]:
    """The records of a file one after the other, for files too large to hold."""
    with open_member(source, archive, member) as file:
        while content := file.read(record_bytes):
            if len(content) < record_bytes:
                raise DataError(f"{member} from {source / archive} is cut short; fetch it again.")
            yield np.frombuffer(content, np.uint8)
