import io

import numpy as np
import pytest
import simplejpeg
from archive_writers import jpeg
from PIL import Image

from cnn_jax.data.decoding.jpeg import decode_part, ends_early, jpeg_size


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
def test_part_has_the_pixels_of_the_whole_at_every_scale(scale, options, progressive):
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
def test_damage_before_the_end_of_the_part_is_noticed(keep):
    content = jpeg(0, 60, 80)
    with pytest.raises(ValueError, match="Premature end"):
        decode_part(content[: int(len(content) * keep)], (60, 80), (52, 72, 8, 8), 1)


@pytest.mark.parametrize("box", [(0, 0, 0, 8), (0, 0, 8, 0), (56, 0, 8, 8), (0, 76, 8, 8), (-1, 0, 8, 8)])
def test_empty_box_and_one_beyond_the_image_are_refused(box):
    with pytest.raises(ValueError, match="does not lie within 60×80"):
        decode_part(jpeg(0, 60, 80), (60, 80), box, 1)


def test_size_that_is_not_the_file_s_is_refused():
    with pytest.raises(ValueError, match="in place of 50×80"):
        decode_part(jpeg(0, 60, 80), (50, 80), (0, 0, 8, 8), 1)


def test_jpeg_that_ends_early_is_told_from_one_with_a_trifle():
    content = jpeg(0, 60, 80)
    assert not ends_early(content) and not ends_early(b"no jpeg")
    assert not ends_early(content[:-2] + b"\0\0" + content[-2:])  # bytes before the last marker, as cameras leave
    assert ends_early(content[: len(content) // 2] + b"\xff\xd9")
