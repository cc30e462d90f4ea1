"""From what an image file holds to 8 bits a channel, by the depth that the file itself states."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from cnn_jax.data.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

# Of the TIFF standard: bits in a sample, what 0 means (0: white), and the kind of number (1: unsigned, 4: not said).
_BITS, _PHOTOMETRIC, _KIND = 258, 262, 339


def eight_bit(image: "Image.Image", name: str) -> UInt8[np.ndarray, "h w c"]:
    """A loaded picture as gray [h, w, 1] or RGB [h, w, 3]; transparency is dropped.

    Raises:
      DataError: for numbers that are signed, floating-point or wider than 16 bits, and where dropping the
        transparency would leave a single colour.
    """
    tags = getattr(image, "tag_v2", {})  # a TIFF's
    if image.mode == "F":
        raise DataError(f"{name} holds floating-point values; save it with 8 or 16 bits per channel.")
    if not {1, 4}.issuperset(tags.get(_KIND, (1,))):
        raise DataError(f"{name} holds signed numbers; save it with 8 or 16 bits per channel, from 0.")
    if image.mode.startswith("I"):  # gray of more than 8 bits, in one of several spellings
        bits = tags.get(_BITS, (16,))[0]  # Pillow scales what other formats hold to 16
        if bits > 16:
            raise DataError(f"{name} holds {bits} bits per channel; save it with 8 or 16.")
        highest = 2**bits - 1
        gray = np.rint(np.asarray(image).astype(np.float64) * (255 / highest)).clip(0, 255).astype(np.uint8)
        return (255 - gray if tags.get(_PHOTOMETRIC) == 0 else gray)[..., np.newaxis]
    gray = image.mode in ("1", "L", "LA", "La")
    pixels = np.array(image.convert("L" if gray else "RGB"))
    _check_seen(pixels, image, name)
    return pixels[..., np.newaxis] if gray else pixels


def _check_seen(pixels: np.ndarray, image: "Image.Image", name: str) -> None:
    """Refuse a drawing that lies in its transparency alone: without it nothing would be left."""
    if not image.has_transparency_data or (pixels != pixels[0, 0]).any():  # a palette can have it, and no channel
        return
    lowest, highest = image.convert("RGBA").getchannel("A").getextrema()
    if lowest != highest:
        raise DataError(f"{name} is of one colour but for its transparency; put it on a background of another colour.")
