"""Bits in a sample, signs, and transparency: by what the file says."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import DataError
from cnn_jax.data.decoding.images import decode_image


def gray_tiff(values, bits, *, photometric=1, kind=1):
    """An uncompressed TIFF of one row, written by hand: samples of any number of bits, the highest first."""
    width = len(values)
    if bits in (16, 32):
        data = np.asarray(values).astype(f"<u{bits // 8}").tobytes()
    else:
        packed = "".join(f"{value:0{bits}b}" for value in values)
        data = int(packed.ljust(-(-len(packed) // 8) * 8, "0"), 2).to_bytes(-(-len(packed) // 8), "big")
    tags = [(256, 3, width), (257, 3, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    tags += [(273, 4, 8 + 2 + 12 * 10 + 4), (277, 3, 1), (278, 3, 1), (279, 4, len(data)), (339, 3, kind)]
    entries = b"".join(struct.pack("<HHII" if t == 4 else "<HHIHxx", tag, t, 1, value) for tag, t, value in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + struct.pack("<I", 0) + data


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
@pytest.mark.parametrize("photometric", [0, 1], ids=["0 is white", "0 is black"])
def test_every_depth_of_a_tiff_spans_black_to_white(bits, photometric):
    if (bits, photometric) == (12, 0):
        pytest.skip("Pillow does not read it, so it is refused")
    top = 2**bits - 1
    values = np.rint(np.linspace(0, top, min(top + 1, 256))).astype(int)
    expected = values / top * 255 if photometric else 255 - values / top * 255
    ours = decode_image(gray_tiff(values, bits, photometric=photometric), "a.tif")[0, :, 0]
    np.testing.assert_allclose(ours, expected, atol=0.6)  # rounding


@pytest.mark.parametrize(
    ("bits", "kind", "message"), [(32, 1, "holds 32 bits"), (16, 2, "signed"), (32, 2, "signed"), (8, 2, "signed")]
)
def test_numbers_that_have_no_white_are_refused(bits, kind, message):
    with pytest.raises(DataError, match=rf"a\.tif holds.*{message}|a\.tif {message}"):
        decode_image(gray_tiff([0, 1, 2], bits, kind=kind), "a.tif")


def encode(image, form="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def test_twelve_bit_pgm_is_scaled_by_its_own_maximum():
    content = b"P5\n3 1\n4095\n" + np.array([0, 2048, 4095], ">u2").tobytes()
    np.testing.assert_allclose(decode_image(content, "a.pgm").ravel(), [0, 128, 255], atol=1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_every_mode_has_the_channels_that_are_meant(mode):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)).convert(mode)
    content = encode(picture, "TIFF" if mode == "CMYK" else "PNG")
    gray = mode in ("1", "L", "LA")
    expected = np.asarray(picture.convert("L" if gray else "RGB")).reshape(8, 8, -1)
    np.testing.assert_array_equal(decode_image(content, "a"), expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_drawing_in_its_transparency_alone_is_refused_and_not_black(mode):
    drawing = np.zeros((8, 8, 4 if mode == "RGBA" else 2), np.uint8)
    drawing[2:5, 2:5, -1] = 255
    with pytest.raises(DataError, match="of one colour but for its transparency"):
        decode_image(encode(Image.fromarray(drawing)), "logo.png")
    drawing[..., -1] = 255  # black all over, and nothing is lost
    assert not decode_image(encode(Image.fromarray(drawing)), "black.png").any()


@pytest.mark.parametrize(("form", "transparency"), [("PNG", 1), ("PNG", b"\0\x80"), ("GIF", 1)])
@pytest.mark.parametrize("colour", [0, 255])
def test_drawing_in_the_transparency_of_a_palette_is_refused(form, transparency, colour):
    drawing = np.zeros((8, 8), np.uint8)
    drawing[2:5, 2:5] = 1
    picture = Image.fromarray(drawing).convert("P")
    picture.putdata(drawing.ravel().tolist())
    picture.putpalette([colour] * 6)
    buffer = io.BytesIO()
    picture.save(buffer, form, transparency=transparency, optimize=False)
    with pytest.raises(DataError, match="of one colour but for its transparency"):
        decode_image(buffer.getvalue(), "logo.img")


@pytest.mark.parametrize(("mode", "key"), [("L", 0), ("RGB", (0, 0, 0)), ("1", 0)])
def test_transparent_colour_that_leaves_a_drawing_is_dropped(mode, key):
    drawing = np.zeros((8, 8, 3), np.uint8)
    drawing[2:5, 2:5] = 255
    buffer = io.BytesIO()
    Image.fromarray(drawing).convert(mode).save(buffer, "PNG", transparency=key)
    np.testing.assert_array_equal(decode_image(buffer.getvalue(), "a.png"), drawing[..., : 3 if mode == "RGB" else 1])


def test_orientation_is_left_alone_as_torchvision_leaves_it():
    picture, exif = Image.new("RGB", (6, 4), (200, 0, 0)), Image.Exif()
    exif[274] = 6
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=exif)
    assert decode_image(buffer.getvalue(), "a.jpg").shape == (4, 6, 3)
