"""The IDX files in which MNIST and its successors are published."""

import gzip
import math
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from cnn_jax.data.errors import DataError

_UNSIGNED_BYTE = 0x08
_MOST_DIMENSIONS = 4
_CHUNK = 1 << 20  # bytes; a header may announce more than there is memory


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes, gzip-compressed or not.

    The file is a big-endian header (two zero bytes, the type, the number of dimensions, then each size as uint32) and
    the values.

    Returns:
      uint8, of the shape that the header states.

    Raises:
      DataError: where the file is damaged, cut short or of another type.

    Source: LeCun, Cortes and Burges, "The MNIST database", the format's description on its page.
    """
    try:
        with path.open("rb") as file:
            return parse_idx(file, str(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read as an IDX file ({error}); fetch it again.") from error


def parse_idx(file: IO[bytes], name: str) -> np.ndarray:
    """`read_idx` on an open file called `name`, of which no more is unpacked than its header announces."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    try:
        return _parse(gzip.GzipFile(fileobj=file) if packed else file, name)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{name} cannot be read as an IDX file ({error}); fetch it again.") from error


def _parse(file: IO[bytes] | gzip.GzipFile, name: str) -> np.ndarray:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        raise DataError(f"{name} is not an IDX file: it does not begin with two zero bytes.")
    kind, rank = start[2], start[3]
    if kind != _UNSIGNED_BYTE:
        raise DataError(f"{name} holds values of IDX type 0x{kind:02x}; only unsigned bytes (0x08) are read.")
    if rank > _MOST_DIMENSIONS:
        raise DataError(f"{name} announces {rank} dimensions, which no published set has; fetch it again.")
    sizes = file.read(4 * rank)
    shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4))
    announced, values = math.prod(shape), bytearray()
    while len(values) <= announced and (chunk := file.read(min(_CHUNK, announced + 1 - len(values)))):
        values += chunk
    if len(sizes) != 4 * rank or len(values) != announced:
        found = f"more than {announced:,}" if len(values) > announced else f"{len(values):,}"
        raise DataError(
            f"{name} is cut short or too long: its header announces {shape}, but {found} bytes follow; fetch it again."
        )
    return np.frombuffer(values, np.uint8).reshape(shape)
