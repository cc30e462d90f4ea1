"""JPEG files by simplejpeg, at a half, a quarter or an eighth of their size where that will do.

Random bilinear crops are cut from them. All other images are decoded by `images.decode_image`; `decode.decode_crop`
chooses. The fast integer transform is used, as tf.data's default: up to 4 of 255 off the accurate one.

Of what a crop of a file of 500×375 takes, unpacking its bits is half, which nothing avoids: rows below the box could be
left out, and damage in them would go unseen. A buffer for the whole, kept by each thread, gains nothing.
"""

import numpy as np
from jaxtyping import UInt8

Box = tuple[int, int, int, int]  # top, left, rows, columns


def jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Height and width of a JPEG in gray or RGB, else None: another format, CMYK, or a damaged header."""
    import simplejpeg

    if content[:2] != b"\xff\xd8":
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    return (height, width) if colours in ("YCbCr", "Gray", "RGB") else None


def decode_part(content: bytes, size: tuple[int, int], box: Box, scale: int) -> UInt8[np.ndarray, "rows columns 3"]:
    """The pixels within `box` of a JPEG at 1 / scale of its size, in RGB.

    Args:
      size: the height and width of the whole, by `jpeg_size`.
      box: in pixels of the scaled image.
      scale: 1, 2, 4 or 8.

    Raises:
      ValueError: where anything is wrong with the file, be it only a few bytes too many, or the box is empty or
        leaves the image.
    """
    import simplejpeg

    height, width = (-(-side // scale) for side in size)
    top, left, rows, columns = box
    if not (0 <= top < top + rows <= height and 0 <= left < left + columns <= width):
        raise ValueError(f"the box {box} does not lie within {height}×{width} pixels")
    # The smallest of libjpeg's scales that is not below this size. A bound of 0 would mean none, but no side is 0.
    whole = simplejpeg.decode_jpeg(content, min_height=height, min_width=width, fastdct=True)
    if whole.shape[:2] != (height, width):
        raise ValueError(f"decoded to {whole.shape[0]}×{whole.shape[1]} pixels in place of {height}×{width}")
    return whole[top : top + rows, left : left + columns]


def ends_early(content: bytes) -> bool:
    """Whether the data of a JPEG stop before its last pixel, which a decoder fills up with gray."""
    import simplejpeg

    if content[:2] != b"\xff\xd8":
        return False
    try:
        colours = simplejpeg.decode_jpeg_header(content)[2]
        target = "CMYK" if colours in ("CMYK", "YCCK") else "RGB"
        simplejpeg.decode_jpeg(content, target, min_height=1, min_width=1, fastdct=True)  # an eighth: reads all data
    except ValueError as error:
        return "premature end" in str(error).lower()
    return False
