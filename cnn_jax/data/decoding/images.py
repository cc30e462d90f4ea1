"""Image files: any still picture that Pillow knows becomes 8-bit gray or RGB, or a message that names the file."""

import io
import os
import struct
import warnings
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from ...paths import local_path
from ..errors import DataError
from ..interpolation import Interpolation

if TYPE_CHECKING:
    from PIL import Image

# A 100-megapixel image takes 300 MB unpacked. A few kilobytes of PNG can ask for far more, so the header is read first.
MAX_PIXELS = 100_000_000


def read_image(path: str | os.PathLike[str]) -> UInt8[np.ndarray, "h w c"]:
    """Read an image file: the format is told by the content, not by the name.

    Raises:
        DataError: as `decode_image`, or where the file cannot be read.
    """
    try:
        content = local_path(path, "IMAGE", utf8=False).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    return decode_image(content, str(path))


def decode_image(content: bytes, name: str) -> UInt8[np.ndarray, "h w c"]:
    """Decode a picture; gray gives one channel, everything else (palette, CMYK, transparency dropped) gives RGB.

    16-bit gray is scaled to 8 bits. An orientation in the EXIF data is not applied, as torchvision and tf.data do not.

    Args:
        name: of the file, for the messages.

    Raises:
        DataError: for what is no image, is empty or cut short, has more than MAX_PIXELS pixels, moves, or holds floats.
    """
    from PIL import Image

    if not content:
        raise DataError(f"{name} is empty (0 bytes).")
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            image: Image.Image = Image.open(io.BytesIO(content))
        check_size(image.width, image.height, name)
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # a JPEG as cameras write it, with a preview behind the picture
            raise DataError(f"{name} moves ({frames} frames); only still images are read.")
        image.load()
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} is refused: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise DataError(f"{name} is not an image that can be read, or is cut short ({error}).") from error
    return _to_bytes(image, name)


def check_size(width: int, height: int, name: str) -> None:
    """Refuse an image whose unpacked size would be unreasonable."""
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{name} has {width}×{height} pixels, more than the limit of {MAX_PIXELS:,}; scale it down first."
        )


def _to_bytes(image: "Image.Image", name: str) -> UInt8[np.ndarray, "h w c"]:
    if image.mode.startswith("I"):  # 16-bit gray, in one of several spellings
        return np.rint(np.asarray(image).astype(np.float64) / 257).clip(0, 255).astype(np.uint8)[..., np.newaxis]
    if image.mode == "F":
        raise DataError(f"{name} holds floating-point values; save it with 8 or 16 bits per channel.")
    if image.mode in ("1", "L", "LA", "La"):
        return np.array(image.convert("L"))[..., np.newaxis]
    return np.array(image.convert("RGB"))


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


def scale_bicubic(image: UInt8[np.ndarray, "h w c"], height: int, width: int) -> UInt8[np.ndarray, "height width c"]:
    """Scale a gray or RGB image to height × width by Pillow's bicubic filter, which averages where it shrinks."""
    return _scaled(_to_picture(image), height, width, "bicubic")


def _scaled(
    picture: "Image.Image",
    height: int,
    width: int,
    interpolation: Interpolation,
    box: tuple[float, float, float, float] | None = None,
) -> UInt8[np.ndarray, "height width c"]:
    """A picture, or the box (left, top, right, bottom) of it, scaled by Pillow."""
    from PIL import Image

    scaled = picture.resize((width, height), Image.Resampling[interpolation.upper()], box=box)
    return np.array(scaled).reshape(height, width, -1)


def _to_picture(image: UInt8[np.ndarray, "h w c"]) -> "Image.Image":
    from PIL import Image

    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
