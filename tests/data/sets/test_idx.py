"""IDX files that announce other things than they hold."""

import gzip
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from cnn_jax.data import DataError, prepare
from cnn_jax.data.sets.idx import parse_idx, read_idx


def idx(shape, values, kind=8):
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + values


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx((2**16,) * 4, b""), "cut short or too long: its header announces .* but 0 bytes follow"),  # 0 modulo 2**64
        (idx((2**32 - 1,) * 3, b"12"), "but 2 bytes follow"),
        (idx((3,), b"1234"), "but more than 3 bytes follow"),
        (idx((3,), b"12"), "but 2 bytes follow"),
        (idx((3, 3), b"")[:9], "cut short"),
        (idx((1,) * 200, b"1"), "announces 200 dimensions"),
        (idx((1,), b"1", kind=13), "IDX type 0x0d"),
        (b"text", "is not an IDX file"),
        (b"", "is not an IDX file"),
    ],
)
def test_header_that_the_values_do_not_fit_is_refused(tmp_path, pack, content, message):
    (tmp_path / "a").write_bytes(pack(content))
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "a")


def test_no_more_is_unpacked_than_is_announced():
    packed = gzip.compress(idx((3,), bytes(200_000_000)))
    tracemalloc.start()
    with pytest.raises(DataError, match="more than 3 bytes"):
        parse_idx(io.BytesIO(packed), "bomb")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize("damage", [lambda c: c[:-20], lambda c: c[:-8] + bytes(8)], ids=["cut", "checksum"])
def test_damaged_compression_is_named(tmp_path, damage):
    values = np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes()
    (tmp_path / "a.gz").write_bytes(damage(gzip.compress(idx((5000,), values))))
    with pytest.raises(DataError, match=r"a\.gz cannot be read as an IDX file"):
        read_idx(tmp_path / "a.gz")


def test_bomb_in_the_zip_of_emnist_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "gzip.zip", "w") as packed:
        content = gzip.compress(idx((2, 28, 28), bytes(5_000_000)))
        packed.writestr("gzip/emnist-digits-train-images-idx3-ubyte.gz", content)
    with pytest.raises(DataError, match=r"emnist-digits-train-images.* more than 1,568 bytes follow"):
        prepare("emnist/digits", source=tmp_path, root=tmp_path / "root")
