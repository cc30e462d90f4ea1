"""The pixels of a part of a JPEG file, decoded no further than the part needs.

libjpeg-turbo can leave out the inverse transform, the upsampling and the colours of what lies outside a region (every
coefficient must still be read: they are one bit stream). The package `turbojpeg` carries that library but does not wrap
the call, so it is made here by ctypes. Where the package has no wheel, simplejpeg decodes the whole image; the pixels
are the same to the bit.

Both use the fast integer transform, as tf.data's default: up to 4 of 255 off the accurate one.
"""

import ctypes
import functools
import importlib.util
import threading

import numpy as np
from jaxtyping import UInt8

Box = tuple[int, int, int, int]  # top, left, rows, columns

# Of turbojpeg.h: what tj3Init and tj3Set are told, and the pixel format of tj3Decompress8.
_DECOMPRESS, _STOP_ON_WARNING, _FAST_TRANSFORM, _RGB = 1, 0, 10, 0
# A region must begin at a multiple of the size of a coded block with its colours; the widest (4:1:1) has 32 columns.
_BLOCK = 32


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
        ValueError: where anything is wrong, be it only a few bytes too many; what comes after the part may go unseen.
    """
    library = _library()
    if library is None:
        return _part_of_whole(content, size, box, scale)
    if not hasattr(_of_this_thread, "decoder"):
        _of_this_thread.decoder = _Decoder(*library)
    return _of_this_thread.decoder.part(content, size, box, scale)


def _part_of_whole(content: bytes, size: tuple[int, int], box: Box, scale: int) -> np.ndarray:
    import simplejpeg

    height, width = (-(-side // scale) for side in size)
    # The smallest of libjpeg's scales that is not below this size, which is exactly 1 / scale.
    whole = simplejpeg.decode_jpeg(content, min_height=height, min_width=width, fastdct=True)
    top, left, rows, columns = box
    return whole[top : top + rows, left : left + columns]


class _Region(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_int), ("w", ctypes.c_int), ("h", ctypes.c_int)]


class _Scale(ctypes.Structure):
    _fields_ = [("num", ctypes.c_int), ("denom", ctypes.c_int)]


@functools.cache
def _library() -> tuple[ctypes.PyDLL, ctypes.CDLL] | None:
    """libjpeg-turbo with the interface of its version 3, or None: for calls that keep Python's lock, since they take
    less time than handing it over, and for those that free it."""
    found = importlib.util.find_spec("turbojpeg")
    if found is None:
        return None
    handle, content = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_size_t)
    try:
        # Names are looked up in what the module links to, too.
        short, long = ctypes.PyDLL(found.origin), ctypes.CDLL(found.origin)
        short.tj3Init.restype = handle
        short.tj3Destroy.argtypes = [handle]
        short.tj3Set.argtypes = [handle, ctypes.c_int, ctypes.c_int]
        short.tj3GetErrorStr.restype, short.tj3GetErrorStr.argtypes = ctypes.c_char_p, [handle]
        short.tj3DecompressHeader.argtypes = [handle, *content]
        short.tj3SetScalingFactor.argtypes = [handle, _Scale]
        short.tj3SetCroppingRegion.argtypes = [handle, _Region]
        long.tj3Decompress8.argtypes = [handle, *content, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    except (OSError, AttributeError):  # another package of this name, or an older library
        return None
    return short, long


class _Decoder:
    """A decompressor of libjpeg-turbo, for one thread."""

    def __init__(self, short: ctypes.PyDLL, long: ctypes.CDLL) -> None:
        self._short, self._long, self._handle = short, long, short.tj3Init(_DECOMPRESS)
        short.tj3Set(self._handle, _FAST_TRANSFORM, 1)
        short.tj3Set(self._handle, _STOP_ON_WARNING, 1)

    def part(self, content: bytes, size: tuple[int, int], box: Box, scale: int) -> np.ndarray:
        """As `decode_part`."""
        top, left, rows, columns = box
        block, width = _BLOCK // scale, -(-size[1] // scale)
        # Colours may be stored at half the width, and those of a column then depend on the next one: one more on each
        # side gives the pixels of the whole image.
        first, end = max(left - 1, 0) // block * block, min(left + columns + 1, width)
        out = np.empty((rows, end - first, 3), np.uint8)
        short, handle = self._short, self._handle
        if (
            short.tj3SetCroppingRegion(handle, _Region())  # forget the image before
            or short.tj3DecompressHeader(handle, content, len(content))
            or short.tj3SetScalingFactor(handle, _Scale(1, scale))
            or short.tj3SetCroppingRegion(handle, _Region(first, top, end - first, rows))
            or self._long.tj3Decompress8(handle, content, len(content), out.ctypes.data, 0, _RGB)
        ):
            raise ValueError(short.tj3GetErrorStr(handle).decode(errors="replace"))
        return out[:, left - first : left - first + columns]

    def __del__(self) -> None:
        self._short.tj3Destroy(self._handle)


_of_this_thread = threading.local()
