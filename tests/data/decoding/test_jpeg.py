import io

import numpy as np
import pytest
import simplejpeg
from archive_writers import jpeg
from PIL import Image

from cnn_jax.data.decoding import jpeg as reader
from cnn_jax.data.decoding.jpeg import decode_part, jpeg_size


@pytest.fixture(params=["part", "whole"])
def way(request, monkeypatch):
    """Both ways to decode: libjpeg-turbo 3 decodes the part, simplejpeg the whole."""
    if request.param == "whole":
        monkeypatch.setattr(reader, "_library", lambda: None)
    elif reader._library() is None:
        pytest.skip("the package turbojpeg has no wheel here")


def encoded(height, width, *, mode="RGB", **options):
    """A picture with an edge in each colour every three pixels, so that mixed-up neighbours show."""
    random = np.random.default_rng(height)
    coarse = random.integers(0, 256, (height // 3 + 1, width // 3 + 1, 3), np.uint8)
    picture = np.kron(coarse, np.ones((3, 3, 1), np.uint8))[:height, :width]
    buffer = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(buffer, "JPEG", quality=80, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize(
    "options",
    [{"subsampling": "4:4:4"}, {"subsampling": "4:2:2"}, {"subsampling": "4:2:0"}, {"mode": "L"}],
    ids=["444", "422", "420", "gray"],
)
@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_part_has_the_pixels_of_the_whole(way, scale, options, progressive):
    content = encoded(133, 211, progressive=progressive, **options)
    assert jpeg_size(content) == (133, 211)
    height, width = -(-133 // scale), -(-211 // scale)
    whole = simplejpeg.decode_jpeg(content, min_height=height, min_width=width, fastdct=True)
    random = np.random.default_rng(scale)
    for _ in range(10):
        top, left = random.integers(0, height - 1), random.integers(0, width - 1)
        rows, columns = random.integers(1, height - top + 1), random.integers(1, width - left + 1)
        box = tuple(map(int, (top, left, rows, columns)))
        part = decode_part(content, (133, 211), box, scale)
        np.testing.assert_array_equal(part, whole[top : top + rows, left : left + columns])


def test_size_is_that_of_a_jpeg_in_gray_or_rgb_alone():
    assert jpeg_size(jpeg(0, 60, 80)) == (60, 80)
    assert jpeg_size(encoded(9, 7, mode="CMYK")) is None
    assert jpeg_size(b"\xff\xd8\xff") is None and jpeg_size(b"\x89PNG") is None and jpeg_size(b"") is None


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_damage_before_the_end_of_the_part_is_noticed(way, keep):
    content = jpeg(0, 60, 80)
    with pytest.raises(ValueError, match="Premature end"):
        decode_part(content[: int(len(content) * keep)], (60, 80), (52, 72, 8, 8), 1)
