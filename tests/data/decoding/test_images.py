import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import DataError, fit_image, read_image


@pytest.fixture
def picture():
    """A smooth 48×64 colour picture, so that JPEG keeps it well."""
    rows, columns = np.mgrid[0:48, 0:64]
    return np.stack([rows * 5, columns * 3, 255 - rows - columns], axis=-1).astype(np.uint8)


def save(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


def test_png_with_hangul_and_spaces_in_its_name_is_read(tmp_path, picture):
    np.testing.assert_array_equal(read_image(save(tmp_path / "고양이 사진 1.png", picture)), picture)


def test_png_named_jpg_is_read_by_its_content(tmp_path, picture):
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.jpg", picture, format="PNG")), picture)


def test_jpeg_equals_opencv(tmp_path, picture):
    path = save(tmp_path / "a.jpg", picture, quality=95)
    theirs = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    assert np.abs(read_image(path).astype(int) - theirs).max() <= 2  # two builds of libjpeg


def test_gray_keeps_one_channel(tmp_path, picture):
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", picture[..., 0])), picture[..., :1])


def test_sixteen_bit_gray_is_scaled(tmp_path):
    deep = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png")[..., 0].ravel(), np.arange(256))


def test_sixteen_bit_colour_is_scaled(tmp_path, picture):
    cv2.imwrite(str(tmp_path / "deep.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257)
    assert np.abs(read_image(tmp_path / "deep.png").astype(int) - picture).max() <= 1


def test_cmyk_jpeg_becomes_rgb(tmp_path, picture):
    Image.fromarray(picture).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=98)
    assert np.abs(read_image(tmp_path / "cmyk.jpg").astype(int) - picture).max() <= 6  # JPEG's loss


def test_palette_and_transparency_become_rgb(tmp_path, picture):
    opaque = np.dstack([picture, np.full(picture.shape[:2], 128, np.uint8)])
    np.testing.assert_array_equal(read_image(save(tmp_path / "rgba.png", opaque)), picture)
    few = picture // 128 * 255
    Image.fromarray(few).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.gif")
    assert np.abs(read_image(tmp_path / "palette.gif").astype(int) - few).max() <= 2


def test_first_picture_of_a_camera_file_is_read(tmp_path, picture):
    preview = Image.fromarray(picture[::4, ::4])
    Image.fromarray(picture).save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[preview], quality=95)
    assert Image.open(tmp_path / "a.jpg").n_frames == 2
    ours = read_image(tmp_path / "a.jpg")
    assert ours.shape == picture.shape and np.abs(ours.astype(int) - picture).max() <= 8


def bomb() -> bytes:
    """A PNG header that announces 20,000 × 20,000 pixels, with next to nothing behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def truncated_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()[:2000]


def moving_gif() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("L", (8, 8), value) for value in (0, 100, 200)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def floats() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(buffer, "TIFF")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"hello", "is not an image that can be read"),
        (truncated_jpeg(), "cut short"),
        (bomb(), "is refused|20000×20000 pixels"),
        (moving_gif(), r"moves \(3 frames\)"),
        (floats(), "floating-point"),
    ],
    ids=["empty", "text", "truncated", "bomb", "moving", "floats"],
)
def test_bad_image_is_named(tmp_path, content, message):
    path = tmp_path / "나쁜 그림.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"나쁜 그림.jpg ({message}|.*{message})"):
        read_image(path)


def test_missing_image_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.png cannot be read: No such file"):
        read_image(tmp_path / "none.png")


def test_image_just_over_the_limit_is_refused(tmp_path, picture, monkeypatch):
    from cnn_jax.data.decoding import images

    path = save(tmp_path / "a.png", picture)
    monkeypatch.setattr(images, "MAX_PIXELS", 48 * 64 - 1)
    with pytest.raises(DataError, match="64×48 pixels, more than the limit of 3,071"):
        read_image(path)
    monkeypatch.setattr(images, "MAX_PIXELS", 48 * 64)
    assert read_image(path).shape == (48, 64, 3)


def test_fit_image_keeps_what_fits_already(picture):
    np.testing.assert_array_equal(fit_image(picture, (48, 64, 3)), picture)


def test_fit_image_takes_the_centred_square(picture):
    np.testing.assert_array_equal(fit_image(picture, (48, 48, 3)), picture[:, 8:56])


def test_fit_image_averages_blocks_where_it_shrinks():
    flat = np.repeat(np.repeat(np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6), 8, 0), 8, 1)[..., None]
    small = fit_image(flat, (4, 6, 1))[..., 0]
    # The triangle filter reaches half a block into both neighbours; on a ramp that cancels, except at the border.
    np.testing.assert_array_equal(small[1:-1, 1:-1], flat[::8, ::8, 0][1:-1, 1:-1])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_fit_image_scales_by_pillows_filter(picture, interpolation):
    filtering = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    expected = np.asarray(Image.fromarray(picture).resize((20, 20), filtering, box=(8, 0, 56, 48)))
    np.testing.assert_array_equal(fit_image(picture, (20, 20, 3), interpolation), expected)


def test_fit_image_changes_the_channels(picture):
    gray = fit_image(picture, (48, 64, 1))[..., 0]
    np.testing.assert_allclose(gray, picture @ np.array([0.299, 0.587, 0.114]), atol=1)
    np.testing.assert_array_equal(fit_image(gray[..., None], (48, 64, 3)), np.repeat(gray[..., None], 3, -1))


def test_fit_image_refuses_two_channels(picture):
    with pytest.raises(ValueError, match="must have 1 or 3 channels"):
        fit_image(picture, (4, 4, 2))
