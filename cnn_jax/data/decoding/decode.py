"""From an encoded image to the pixels that a batch holds: choose a box, decode what it needs, scale it."""

import contextlib

import numpy as np
from jaxtyping import Float, UInt8

from cnn_jax.data.decoding.host_crop import TRIES, HostCrop
from cnn_jax.data.decoding.images import Interpolation, check_size, decode_image, fit_image, scale_picture
from cnn_jax.data.decoding.jpeg import Box, decode_part, jpeg_size
from cnn_jax.data.errors import DataError
from cnn_jax.data.order import DECODE_CROP, random_words

# Pixels. A line of 2 × 3000 would be scaled to 256 × 384,000 for a crop of its middle: beyond this size only what is
# cut out is made, whose places Pillow then rounds to single precision.
_MUCH = 8_000_000


def example_uniforms(seed: int, epoch: int, index: int) -> Float[np.ndarray, "10 4"]:
    """The numbers in [0, 1) that decide the crop of one example: a function of (seed, epoch, index)."""
    words = random_words(seed, epoch, 4 * TRIES, purpose=DECODE_CROP, first=4 * TRIES * index)
    return ((words >> np.uint64(11)) * 2.0**-53).reshape(TRIES, 4)


def decode_crop(
    content: bytes, name: str, crop: HostCrop, uniforms: Float[np.ndarray, "10 4"], out: UInt8[np.ndarray, "h w 3"]
) -> None:
    """Decode an image file, cut the box out and scale it, to RGB [crop.height, crop.width, 3] in `out`.

    A crop that is not random is decoded and scaled by Pillow: what torchvision and timm give to a network, to the bit,
    and what `preprocess_image` makes of the same picture. So is a random bicubic one.

    A random bilinear crop is made for speed. A JPEG is decoded at a half, a quarter or an eighth of its size where even
    then the box has at least as many pixels as the result; so the bilinear scaling that follows (OpenCV's, with
    half-pixel centres) shrinks less than twofold and need not average. Other formats are halved by averaging instead.

    Raises:
      DataError: as `decode_image`.
    """
    if not crop.random or crop.interpolation == "bicubic":
        out[:] = _by_pillow(decode_image(content, name), crop, uniforms)
        return
    size, part = jpeg_size(content), None
    if size is not None:
        check_size(size[1], size[0], name)
        box = crop.box(uniforms, *size)
        scale = max(s for s in (1, 2, 4, 8) if s == 1 or (box[2] >= s * crop.height and box[3] >= s * crop.width))
        with contextlib.suppress(ValueError):
            part = decode_part(content, size, _scaled(box, scale, size), scale)
    if part is None:  # no JPEG, or something is wrong: the careful way forgives trifles, and finds words for the rest
        image = decode_image(content, name)
        top, left, rows, columns = crop.box(uniforms, *image.shape[:2])
        part = image[top : top + rows, left : left + columns]
    _resize(part, out)


def preprocess_image(
    image: UInt8[np.ndarray, "h w c"],
    shape: tuple[int, int, int],
    *,
    crop: HostCrop | None = None,
    interpolation: Interpolation = "bilinear",
) -> UInt8[np.ndarray, "h2 w2 c2"]:
    """An image from elsewhere, as a batch of evaluation holds the data set's own.

    Args:
      shape: (height, width, channels) of the data set's images; by `fit_image` the image becomes like them.
      crop: for a data set of image files: what `decode_crop` does, of an image that is decoded already.
      interpolation: for `fit_image`.

    Raises:
      DataError: for a random crop.
    """
    if crop is None:
        return fit_image(image, shape, interpolation)
    if crop.random:
        raise DataError("a random crop is no way to look at a new image; take that of evaluation.")
    out = np.empty(crop.image_shape, np.uint8)
    out[:] = _by_pillow(image, crop, np.zeros((TRIES, 4)))
    return out


def _by_pillow(
    image: UInt8[np.ndarray, "h w c"], crop: HostCrop, uniforms: Float[np.ndarray, "10 4"]
) -> UInt8[np.ndarray, "h2 w2 c"]:
    """The crop as torchvision makes it, to the bit: a part is cut out before it is scaled, a centre afterwards."""
    top, left, rows, columns = crop.box(uniforms, *image.shape[:2])
    part = image[top : top + rows, left : left + columns]
    if crop.shorter is None:
        return scale_picture(part, crop.height, crop.width, crop.interpolation)
    return _centre(part, crop, crop.shorter)


def _centre(image: UInt8[np.ndarray, "h w c"], crop: HostCrop, shorter: int) -> UInt8[np.ndarray, "h2 w2 c"]:
    """The shorter side scaled to `shorter`, and the middle of that."""
    sides = image.shape[:2]
    rows, columns = (int(shorter * side / min(sides)) for side in sides)
    top, left = round((rows - crop.height) / 2), round((columns - crop.width) / 2)
    if rows * columns > _MUCH:
        down, along = sides[0] / rows, sides[1] / columns
        box = (left * along, top * down, (left + crop.width) * along, (top + crop.height) * down)
        return scale_picture(image, crop.height, crop.width, crop.interpolation, box)
    scaled = scale_picture(image, rows, columns, crop.interpolation)
    return scaled[top : top + crop.height, left : left + crop.width]


def _resize(part: UInt8[np.ndarray, "h w c"], out: UInt8[np.ndarray, "h2 w2 3"]) -> None:
    import cv2

    height, width, _ = out.shape
    channels = part.shape[2]
    while min(part.shape[0] / height, part.shape[1] / width) >= 2:  # average by halves, as a JPEG is decoded
        part = cv2.resize(part, (-(-part.shape[1] // 2), -(-part.shape[0] // 2)), interpolation=cv2.INTER_AREA)
    if channels == 3:
        cv2.resize(part, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
    else:
        out[:] = cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, 1)


def _scaled(box: Box, scale: int, size: tuple[int, int]) -> Box:
    """The box in an image of `size` that is decoded at 1 / scale: whole pixels, not empty, within the image."""
    if scale == 1:
        return box
    first = [round(box[side] / scale) for side in (0, 1)]
    ends = [-(-side // scale) for side in size]
    last = [min(max(round((box[side] + box[side + 2]) / scale), first[side] + 1), ends[side]) for side in (0, 1)]
    return first[0], first[1], last[0] - first[0], last[1] - first[1]
