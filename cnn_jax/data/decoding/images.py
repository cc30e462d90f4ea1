"""Image files: any still picture of the usual formats becomes 8-bit gray or RGB, or a message that names the file."""

import io
import os
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import UInt8

from cnn_jax.data.decoding.depth import eight_bit
from cnn_jax.data.decoding.jpeg import ends_early
from cnn_jax.data.errors import DataError
from cnn_jax.paths import local_path

if TYPE_CHECKING:
    from PIL import Image

# How images are scaled. A network does best on images scaled as in its training: that is bilinear for torchvision's
# first weights, and often bicubic for timm's.
Interpolation = Literal["bilinear", "bicubic"]

# A 100-megapixel image takes 300 MB unpacked. A few kilobytes of PNG can ask for far more, so the header is read first.
MAX_PIXELS = 100_000_000

# Formats that begin with a mark of their own. Pillow knows more; some of those start other programs (EPS).
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000", "DDS", "SGI", "QOI", "PSD")


def read_image(path: str | os.PathLike[str]) -> UInt8[np.ndarray, "h w c"]:
    """Read an image file: the format is told by the content, not by the name.

    Raises:
      DataError: as `decode_whole`, or where the file cannot be read.
    """
    try:
        content = local_path(path, "IMAGE", utf8=False).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    return decode_whole(content, str(path))


def decode_whole(content: bytes, name: str) -> UInt8[np.ndarray, "h w c"]:
    """`decode_image`, of a file that has not been looked at before: one that a decoder would fill up is refused.

    That is a JPEG whose data stop early, a PNG with a wrong checksum, and an AVIF or QOI file that ends in zeros, as a
    power failure leaves it. Elsewhere it cannot be told: where pixels are stored as they are (BMP, PPM, plain TIFF)
    zeros are black, and a sound WebP may end in thousands of them.

    Raises:
      DataError: as `decode_image`.
    """
    image = decode_image(content, name)
    if ends_early(content):
        raise DataError(f"{name} is cut short: its data stop before its last pixel.")
    if content.startswith(b"\x89PNG"):
        _check_png(content, name)
    if _ends_in_zeros(content):
        raise DataError(f"{name} is damaged: it ends in zeros, where a part of its picture should be.")
    return image


def _check_png(content: bytes, name: str) -> None:
    """Compare the checksum of every part, which decoding alone does not."""
    from PIL import Image

    try:
        Image.open(io.BytesIO(content), formats=("PNG",)).verify()
    except Exception as error:  # damage shows as every kind of exception
        raise DataError(f"{name} is damaged: a part of it does not have its checksum ({error}).") from error


def _ends_in_zeros(content: bytes) -> bool:
    ends_otherwise = content[:4] == b"qoif" or content[4:12] == b"ftypavif"  # by their specifications
    return ends_otherwise and not any(content[-64:])


def decode_image(content: bytes, name: str) -> UInt8[np.ndarray, "h w c"]:
    """Decode a picture; gray gives one channel, everything else (palette, CMYK, transparency dropped) gives RGB.

    More than 8 bits are scaled to 8 by the depth that the file states. An orientation in the EXIF data is not applied,
    as torchvision and tf.data do not.

    Args:
      name: of the file, for the messages.

    Raises:
      DataError: for what is no image, is empty or cut short, has more than MAX_PIXELS pixels, moves, holds signed
        numbers, floats or more than 16 bits, or is of one colour but for its transparency.
    """
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise DataError(f"{name} is empty (0 bytes).")
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=_FORMATS)
        check_size(image.width, image.height, name)
        _check_still(image, name)
        image.load()
        return eight_bit(image, name)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} is refused: {error}") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name} is not an image that can be read.") from error
    except MemoryError as error:
        raise DataError(f"{name} asks for more memory than there is; it is damaged, or too large.") from error
    except Exception as error:  # damage shows as every kind of exception, by format
        reason = str(error) or type(error).__name__
        raise DataError(f"{name} is not an image that can be read, or is cut short ({reason}).") from error


def check_size(width: int, height: int, name: str) -> None:
    """Refuse an image whose unpacked size would be unreasonable."""
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{name} has {width}×{height} pixels, more than the limit of {MAX_PIXELS:,}; scale it down first."
        )


def _check_still(image: "Image.Image", name: str) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format in ("TIFF", "PSD"):
        raise DataError(f"{name} holds {frames} pictures; only files of one are read.")
    if frames > 1 and image.format != "MPO":  # a JPEG as cameras write it, with a preview behind the picture
        raise DataError(f"{name} moves ({frames} frames); only still images are read.")


def fit_image(
    image: UInt8[np.ndarray, "h w c"], shape: tuple[int, int, int], interpolation: Interpolation = "bilinear"
) -> UInt8[np.ndarray, "h2 w2 c2"]:
    """Bring an image to `shape` (H, W, C): the largest centred part of that aspect, scaled, in gray or RGB as asked.

    Scaling is by Pillow's filter, which averages where it shrinks. Gray is Pillow's luma, 0.299 R + 0.587 G + 0.114 B.

    Raises:
      ValueError: for a number of channels other than 1 and 3.
    """
    height, width, channels = shape
    if channels not in (1, 3):
        raise ValueError(f"`fit_image.shape` must have 1 or 3 channels, got {shape}.")
    picture = _to_picture(image).convert("L" if channels == 1 else "RGB")
    part = min(picture.width / width, picture.height / height)
    left, top = (picture.width - part * width) / 2, (picture.height - part * height) / 2
    box = (left, top, left + part * width, top + part * height)
    return _scaled(picture, height, width, interpolation, box)


def scale_picture(
    image: UInt8[np.ndarray, "h w c"],
    height: int,
    width: int,
    interpolation: Interpolation,
    box: tuple[float, float, float, float] | None = None,
) -> UInt8[np.ndarray, "height width c"]:
    """A gray or RGB image, or the box (left, top, right, bottom) of it, scaled to height × width.

    Pillow's filter averages where it shrinks.
    """
    return _scaled(_to_picture(image), height, width, interpolation, box)


def _scaled(
    picture: "Image.Image",
    height: int,
    width: int,
    interpolation: Interpolation,
    box: tuple[float, float, float, float] | None,
) -> UInt8[np.ndarray, "height width c"]:
    from PIL import Image

    scaled = picture.resize((width, height), Image.Resampling[interpolation.upper()], box=box)
    return np.array(scaled).reshape(height, width, -1)


def _to_picture(image: UInt8[np.ndarray, "h w c"]) -> "Image.Image":
    from PIL import Image

    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
