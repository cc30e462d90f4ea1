"""What is cut out of an image file while it is decoded: the operations that bring images of any size to one.

They are the device's of the same names; their arithmetic is the same, but a random one draws other numbers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Num

from cnn_jax.data.call import Call, check_range, parse_call
from cnn_jax.data.decoding.images import Interpolation
from cnn_jax.data.decoding.jpeg import Box
from cnn_jax.data.errors import DataError

TRIES = 10


@dataclass(frozen=True)
class HostCrop:
    """What is cut out of each image, whatever its size, and what it is scaled to.

    Attributes:
      height, width: of the result.
      shorter: what the shorter side of the whole image is scaled to, where the crop is the centre of that; else None.
      scale, ratio: the bounds of a random box, as for `random_resized_crop`; None where nothing is drawn.
      interpolation: Pillow's, to the bit; but a random bilinear crop is OpenCV's, of as few pixels as will do.
    """

    height: int
    width: int
    shorter: int | None = None
    scale: tuple[float, float] | None = None
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: Interpolation = "bilinear"

    @property
    def random(self) -> bool:
        """Whether each example and epoch has a crop of its own."""
        return self.scale is not None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the result."""
        return self.height, self.width, 3

    def box(self, uniforms: Num[np.ndarray, "tries 4"], rows: int, columns: int) -> Box:
        """The part of an image of rows × columns that is scaled: the whole, but for a random crop."""
        if self.scale is None:
            return 0, 0, rows, columns
        return random_box(uniforms, rows, columns, self.scale, self.ratio)


def random_resized_crop(
    height: int,
    width: int | None = None,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    interpolation: Interpolation = "bilinear",
) -> HostCrop:
    """Cut a random part out and scale it to height × width (a square by default)."""
    check_range("random_resized_crop.scale", scale, 0, 1)
    check_range("random_resized_crop.ratio", ratio, 0)
    columns = _width("random_resized_crop", height, width)
    return HostCrop(height, columns, scale=scale, ratio=ratio, interpolation=interpolation)


def resize(height: int, width: int | None = None, interpolation: Interpolation = "bilinear") -> HostCrop:
    """Scale the whole image to height × width (a square by default), whatever its aspect."""
    return HostCrop(height, _width("resize", height, width), interpolation=interpolation)


def resize_center_crop(
    shorter: int, height: int, width: int | None = None, interpolation: Interpolation = "bilinear"
) -> HostCrop:
    """Scale the shorter side to `shorter`, then cut height × width (a square by default) out of the middle."""
    columns = _width("center_crop", height, width)
    if max(height, columns) > shorter:
        raise ValueError(
            f"center_crop({height}, {columns}) cannot be cut out of what resize_shorter({shorter}) leaves; "
            "resize to at least its size."
        )
    return HostCrop(height, columns, shorter=shorter, interpolation=interpolation)


def split_host_crop[T](specs: Sequence[T], interpolation: Interpolation) -> tuple[HostCrop, Sequence[T]]:
    """What the host does with each image file, by the beginning of an augmentation list; and the rest of the list.

    It must bring images of any size to one: "random_resized_crop(S)", or "resize_shorter(R)" with "center_crop(S)", or
    "resize(S)". What else stands in the list, texts or functions, is not looked at.

    Raises:
      DataError: where the list begins otherwise.
      ValueError: for wrong arguments.
    """

    def parse(spec: Any, function: Callable[..., Any]) -> Call:
        return parse_call(spec, {_name(spec): function}, "augmentation", offered=("interpolation",))

    match [_name(spec) for spec in specs[:2]]:
        case ["resize_shorter", "center_crop"]:
            shorter = parse(specs[0], lambda size: size)()
            crop, length = parse(specs[1], partial(resize_center_crop, shorter)), 2
        case ["random_resized_crop", *_]:
            crop, length = parse(specs[0], random_resized_crop), 1
        case ["resize", *_]:
            crop, length = parse(specs[0], resize), 1
        case _:
            raise DataError(
                "image files differ in size, so their augmentation must begin with random_resized_crop(S), or with "
                f"resize_shorter(R) and center_crop(S), or with resize(S); it is {list(specs)}."
            )
    return crop(interpolation=interpolation), specs[length:]


def random_box(
    uniforms: Num[np.ndarray, "tries 4"],
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Box:
    """`crop_box` of the device for one image on the host.

    Plain numbers, and no try after the first that fits, take a tenth of the time.
    """
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for size, shape, down, right in uniforms.tolist():
        area = height * width * (scale[0] + size * (scale[1] - scale[0]))
        aspect = math.exp(low + shape * (high - low))
        rows, columns = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 1 <= rows <= height and 1 <= columns <= width:
            return int(down * (height - rows + 1)), int(right * (width - columns + 1)), rows, columns
    return central_box(height, width, ratio)


def central_box(height: int, width: int, ratio: tuple[float, float]) -> Box:
    """The largest centred box whose aspect, width / height, is within `ratio`."""
    aspect = min(max(width / height, ratio[0]), ratio[1])
    sides = (height, width / aspect), (width, height * aspect)
    rows, columns = (max(1, min(side, round(ideal))) for side, ideal in sides)
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def _name(spec: Any) -> str:
    return spec.strip().split("(")[0] if isinstance(spec, str) else ""


def _width(name: str, height: int, width: int | None) -> int:
    width = height if width is None else width
    if min(height, width) < 1:
        raise ValueError(f"`{name}` needs a positive size, got {height}×{width}.")
    return width
