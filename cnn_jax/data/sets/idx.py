"""The IDX files in which MNIST and its successors are published."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from ..errors import DataError

_UNSIGNED_BYTE = 0x08


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
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read as an IDX file ({error}); fetch it again.") from error
    return parse_idx(content, str(path))


def parse_idx(content: bytes, name: str) -> np.ndarray:
    """`read_idx` on the bytes of the file called `name`."""
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{name} cannot be read as an IDX file ({error}); fetch it again.") from error
    if len(content) < 4 or content[:2] != b"\0\0":
        raise DataError(f"{name} is not an IDX file: it does not begin with two zero bytes.")
    kind, rank = content[2], content[3]
    if kind != _UNSIGNED_BYTE:
        raise DataError(f"{name} holds values of IDX type 0x{kind:02x}; only unsigned bytes (0x08) are read.")
    header = 4 + 4 * rank
    shape = tuple(int(size) for size in np.frombuffer(content[4:header], ">u4"))
    values = len(content) - header
    if len(shape) != rank or values != np.prod(shape, dtype=np.int64):
        raise DataError(
            f"{name} is cut short or too long: its header announces {shape}, but {max(values, 0):,} bytes follow; "
            "fetch it again."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
