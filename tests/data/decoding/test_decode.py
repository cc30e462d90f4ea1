import io

import numpy as np
import pytest
from archive_writers import jpeg
from PIL import Image

from cnn_jax.data import DataError, parse_augment, preprocess_image
from cnn_jax.data.decoding.decode import decode_crop as decode_into
from cnn_jax.data.decoding.decode import example_uniforms
from cnn_jax.data.decoding.host_crop import random_resized_crop, resize, resize_center_crop, split_host_crop
from cnn_jax.data.order import DECODE_CROP, random_words

NUMBERS = np.full((10, 4), 0.5)


def decode_crop(content, name, crop, uniforms):
    out = np.empty((crop.height, crop.width, 3), np.uint8)
    decode_into(content, name, crop, uniforms, out)
    return out


def bilinear(image, height, width):
    """Plain bilinear scaling with half-pixel centres, without averaging, by loops over rows and columns."""
    image = image.astype(np.float64)

    def places(size, source):
        centre = np.clip((np.arange(size) + 0.5) * source / size - 0.5, 0, source - 1)
        low = np.floor(centre).astype(int)
        return low, np.minimum(low + 1, source - 1), centre - low

    top, bottom, down = places(height, image.shape[0])
    left, right, along = places(width, image.shape[1])
    rows = image[top] * (1 - down)[:, None, None] + image[bottom] * down[:, None, None]
    return rows[:, left] * (1 - along)[None, :, None] + rows[:, right] * along[None, :, None]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [(24, 24), (50, 40)])
def test_random_crop_equals_the_box_of_the_whole_image(seed, size):
    content = jpeg(seed, 60, 80)
    crop = random_resized_crop(*size, (0.2, 0.5))
    uniforms = example_uniforms(0, 3, seed)
    top, left, rows, columns = crop.box(uniforms, 60, 80)
    full = np.asarray(Image.open(io.BytesIO(content)))
    expected = bilinear(full[top : top + rows, left : left + columns], *size)
    ours = decode_crop(content, "a.jpg", crop, uniforms)
    assert np.abs(ours - expected).max() <= 6  # another transform, and rounding
    assert np.abs(ours - expected).mean() < 1.5


@pytest.mark.parametrize(("side", "scale"), [(63, 1), (64, 2), (127, 2), (128, 4), (256, 8), (600, 8)])
def test_jpeg_is_decoded_smaller_only_where_the_box_is_twice_the_result(monkeypatch, side, scale):
    from cnn_jax.data.decoding import decode

    seen = []
    real = decode.decode_part
    monkeypatch.setattr(decode, "decode_part", lambda *a: seen.append(a[-1]) or real(*a))
    content = jpeg(0, side, side + 5)
    aspect = (side + 5) / side
    everything = random_resized_crop(32, 32, (1, 1), (aspect, aspect))
    assert everything.box(NUMBERS, side, side + 5) == (0, 0, side, side + 5)
    ours = decode_crop(content, "a.jpg", everything, NUMBERS)
    assert seen == [scale]
    picture = Image.open(io.BytesIO(content))
    expected = np.asarray(picture.resize((32, 32), Image.Resampling.BOX, reducing_gap=None)).astype(int)
    assert np.abs(ours - expected).mean() < 4  # a slightly different average


@pytest.mark.parametrize("sides", [(2, 3000), (3000, 2), (1, 500), (4, 4000), (1, 1)])
@pytest.mark.parametrize(
    "specs",
    [
        ["resize_shorter(256)", "center_crop(64)"],
        ["random_resized_crop(32)"],
        ["random_resized_crop(32, ratio=(0.1, 0.2))"],
        ["resize(20)"],
    ],
    ids=str,
)
def test_thin_image_is_cropped_as_any_other(sides, specs):
    buffer, crop = io.BytesIO(), parse_augment(specs, files=True).host
    Image.fromarray(np.full((*sides, 3), 99, np.uint8)).save(buffer, "JPEG", quality=95)
    for index in range(3):
        out = decode_crop(buffer.getvalue(), "thin.jpg", crop, example_uniforms(0, 0, index))
        assert np.abs(out.astype(int) - 99).max() <= 4  # JPEG's loss, and the fast transform


def test_crop_of_a_picture_scaled_to_very_much_is_that_of_the_resize():
    image = np.random.default_rng(0).integers(0, 256, (12, 9000, 3), np.uint8)
    crop = resize_center_crop(140, 32)
    scaled = Image.fromarray(image).resize((105_000, 140), Image.Resampling.BILINEAR)
    left = round((105_000 - 32) / 2)
    expected = np.asarray(scaled.crop((left, 54, left + 32, 86))).astype(int)
    ours = preprocess_image(image, crop.image_shape, crop=crop)
    assert np.abs(ours - expected).max() <= 2  # places in single precision


def picture_of(content, mode="RGB"):
    return Image.open(io.BytesIO(content)).convert(mode)


@pytest.mark.parametrize(("height", "width"), [(90, 120), (120, 81), (200, 33), (24, 24)])
@pytest.mark.parametrize(("shorter", "size"), [(30, 24), (64, 64), (257, 224)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_centre_equals_torchvisions_to_the_bit(height, width, shorter, size, mode, interpolation):
    buffer = io.BytesIO()
    picture_of(jpeg(1, height, width), mode).save(buffer, "JPEG")
    crop = resize_center_crop(shorter, size, interpolation=interpolation)
    # Resize(shorter, interpolation) and CenterCrop(size) of torchvision's transforms, on Pillow's images
    longer = int(shorter * max(height, width) / min(height, width))
    scaled = (longer, shorter) if width > height else (shorter, longer)
    left, top = (round((side - size) / 2) for side in scaled)
    whole_image = picture_of(buffer.getvalue()).resize(scaled, Image.Resampling[interpolation.upper()])
    expected = np.asarray(whole_image.crop((left, top, left + size, top + size)))
    np.testing.assert_array_equal(decode_crop(buffer.getvalue(), "a.jpg", crop, NUMBERS), expected)
    again = preprocess_image(np.asarray(picture_of(buffer.getvalue())), crop.image_shape, crop=crop)
    np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("side", [9, 24, 50])
def test_bicubic_parts_equal_pillows_to_the_bit(side):
    content, uniforms = jpeg(2, 60, 80), example_uniforms(0, 1, 5)
    crop = random_resized_crop(side, interpolation="bicubic")
    top, left, rows, columns = random_resized_crop(side).box(uniforms, 60, 80)
    part = picture_of(content).crop((left, top, left + columns, top + rows))
    expected = np.asarray(part.resize((side, side), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(decode_crop(content, "a.jpg", crop, uniforms), expected)
    everything = resize(side, 30, "bicubic")
    expected = np.asarray(picture_of(content).resize((30, side), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(decode_crop(content, "a.jpg", everything, NUMBERS), expected)


@pytest.mark.parametrize(("height", "width"), [(1, 3000), (3000, 1), (1, 50_000)])
def test_line_of_any_length_is_scaled_to_its_middle(height, width):
    line = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(line).save(buffer, "PNG")
    crop = resize_center_crop(256, 224)
    ours = decode_crop(buffer.getvalue(), "thin.png", crop, NUMBERS)
    # 224 of 256 places a pixel lie between the two pixels in the middle.
    two = line.reshape(-1, 3)[max(height, width) // 2 - 1 :][:2].astype(int)
    assert ours.shape == (224, 224, 3)
    assert (ours >= two.min(axis=0) - 1).all() and (ours <= two.max(axis=0) + 1).all()  # rounding


@pytest.mark.parametrize("mode", ["L", "CMYK", "PNG", "16 bit"])
def test_every_kind_of_image_becomes_three_channels(mode):
    picture = Image.open(io.BytesIO(jpeg(2)))
    buffer = io.BytesIO()
    if mode == "PNG":
        picture.save(buffer, "PNG")
    elif mode == "16 bit":
        Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(buffer, "PNG")
    else:
        picture.convert(mode).save(buffer, "JPEG", quality=95)
    expected = np.asarray(picture if mode in ("PNG", "CMYK") else picture.convert("L").convert("RGB")).astype(int)
    ours = decode_crop(buffer.getvalue(), "a.jpg", resize(40, 56), NUMBERS)
    assert np.abs(ours - expected).mean() < 2.5


def test_trifle_in_a_jpeg_is_forgiven():
    content = jpeg(3)
    odd = content[:-2] + b"\0\0" + content[-2:]  # "extraneous bytes before marker", as in some files of ImageNet
    whole_image = resize(40, 56)
    difference = decode_crop(odd, "a.jpg", whole_image, NUMBERS).astype(int) - decode_crop(
        content, "a.jpg", whole_image, NUMBERS
    )
    assert np.abs(difference).max() <= 4  # the accurate transform


@pytest.mark.parametrize(
    "damage", [lambda c: c[: len(c) // 2], lambda c: c[:10], lambda c: b"", lambda c: b"GIF89a" + c]
)
def test_damaged_file_is_named(damage):
    with pytest.raises(DataError, match=r"고양이\.jpg"):
        decode_crop(damage(jpeg(0)), "고양이.jpg", resize(8, 8), NUMBERS)


def test_uniforms_are_a_window_of_one_stream():
    words = random_words(5, 2, 40 * 8, purpose=DECODE_CROP)
    for index in (0, 1, 7):
        expected = (words[40 * index : 40 * (index + 1)] >> np.uint64(11)) * 2.0**-53
        np.testing.assert_array_equal(example_uniforms(5, 2, index).ravel(), expected)
    many = np.concatenate([example_uniforms(0, 0, index) for index in range(500)])
    assert many.min() >= 0 and many.max() < 1
    assert abs(many.mean() - 0.5) < 0.01 and abs(many.std() - 1 / np.sqrt(12)) < 0.01


@pytest.mark.parametrize(
    ("specs", "error", "message"),
    [
        ([], DataError, "must begin with random_resized_crop"),
        (["horizontal_flip()"], DataError, "must begin with random_resized_crop"),
        (["resize_shorter(256)"], DataError, "must begin with random_resized_crop"),
        (["resize_shorter(100)", "center_crop(101)"], ValueError, "cannot be cut out of"),
        (["random_resized_crop(0)"], ValueError, "needs a positive size"),
        (["random_resized_crop(8, scale=(2, 1))"], ValueError, "must be a pair"),
        (["resize(8, depth=3)"], ValueError, "does not fit"),
    ],
)
def test_wrong_beginning_says_what_is_needed(specs, error, message):
    with pytest.raises(error, match=message):
        split_host_crop(specs, "bilinear")
