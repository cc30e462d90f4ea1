"""Image files cut short and with flipped bytes: decoded, or refused by name; no crash, and nothing black unsaid."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import DataError
from cnn_jax.data.decoding.images import decode_image, decode_whole

# In a child, because a fault in a decoder's C code would end the process.
PROGRAM = """
import io, random, sys, numpy as np
from PIL import Image
from cnn_jax.data import DataError
from cnn_jax.data.decoding.decode import decode_crop, example_uniforms
from cnn_jax.data.decoding.host_crop import random_resized_crop, resize
from cnn_jax.data.decoding.images import decode_whole

random.seed(int(sys.argv[2]))
picture = Image.fromarray(np.random.default_rng(0).integers(60, 255, (40, 40, 3), np.uint8))
buffer = io.BytesIO()
picture.save(buffer, sys.argv[1])
good, crops = buffer.getvalue(), [random_resized_crop(16), resize(16)]
counts = {"decoded": 0, "refused": 0}
for _ in range(150):
    data = bytearray(good)
    for _ in range(random.choice((0, 1, 2, 4))):
        data[random.randrange(min(len(data), 400) if random.random() < 0.7 else len(data))] = random.randrange(256)
    if random.random() < 0.4:
        data = data[: random.randrange(1, len(data))]
    data = bytes(data)
    for crop in crops:
        try:
            decode_crop(data, "a", crop, example_uniforms(0, 0, 1), np.empty((16, 16, 3), np.uint8))
        except DataError:
            pass
    try:
        image = decode_whole(data, "the file")
    except DataError as error:
        assert "the file" in str(error), error
        counts["refused"] += 1
    else:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in (1, 3)
        black = (image == 0).all()
        assert not black or data[: len(good)] != good[: len(data)], "cut short, and black"
        counts["decoded"] += 1
print(counts["decoded"], counts["refused"])
"""


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "PPM"])
def test_damaged_files_are_decoded_or_refused_by_name(form):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, form, "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    decoded, refused = map(int, done.stdout.split())
    assert decoded + refused == 150 and refused > 20


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP"])
def test_half_a_file_is_refused(form):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(buffer, form)
    with pytest.raises(DataError, match="half"):
        decode_whole(buffer.getvalue()[: len(buffer.getvalue()) // 2], "half")


def zeroed(content, keep):
    """A file after a power failure: of its whole length, but what was not written yet is zeros."""
    kept = int(len(content) * keep)
    return content[:kept] + bytes(len(content) - kept)


def smooth():
    return Image.fromarray((np.indices((96, 96)).sum(0)[..., None] + np.array([20, 30, 40])).astype(np.uint8))


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.8])
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"mode": "CMYK"}),
        ("PNG", {}),
        ("GIF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("JPEG2000", {}),
        ("AVIF", {}),
        ("QOI", {}),
    ],
)
def test_zeros_in_place_of_the_rest_are_refused(form, options, keep):
    noise = Image.fromarray(np.random.default_rng(0).integers(60, 255, (64, 64, 3), np.uint8))
    for picture in (smooth(), noise):
        buffer = io.BytesIO()
        picture.convert(options.get("mode", "RGB")).save(
            buffer, form, **{k: v for k, v in options.items() if k != "mode"}
        )
        decode_whole(buffer.getvalue(), "good")
        with pytest.raises(DataError, match=r"power\.img"):
            decode_whole(zeroed(buffer.getvalue(), keep), "power.img")


@pytest.mark.parametrize("form", ["BMP", "PPM", "TIFF", "WEBP"])
def test_zeros_that_could_be_black_pixels_change_those_alone_or_are_refused(form):
    buffer = io.BytesIO()
    smooth().save(buffer, form)
    try:
        ours = decode_whole(zeroed(buffer.getvalue(), 0.5), "power.img")
    except DataError:
        return
    whole = decode_whole(buffer.getvalue(), "good")
    assert ours.shape == whole.shape and (form == "WEBP" or not ours[(ours != whole).any(axis=2)].all(axis=1).any())


def test_png_with_a_wrong_checksum_is_refused():
    buffer = io.BytesIO()
    smooth().save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[-13] ^= 1  # the last byte of the picture's checksum, before the 12 bytes of IEND
    with pytest.raises(DataError, match=r"a\.png is damaged: a part of it does not have its checksum"):
        decode_whole(bytes(content), "a.png")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_that_ends_early_behind_a_proper_end_is_refused(mode):
    buffer = io.BytesIO()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    picture.convert(mode).save(buffer, "JPEG")
    content = buffer.getvalue()
    with pytest.raises(DataError, match=r"a\.jpg is cut short: its data stop"):
        decode_whole(content[: len(content) // 2] + b"\xff\xd9", "a.jpg")


def test_postscript_starts_no_other_program():
    with pytest.raises(DataError, match="is not an image that can be read"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\nshowpage\n", "a.eps")
