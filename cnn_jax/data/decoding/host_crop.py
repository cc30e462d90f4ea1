"""Which leading operations of an augmentation list the host carries out while it decodes image files."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..call import check_range, parse_call
from ..errors import DataError
from ..interpolation import Interpolation
from .decode import HostCrop, central_crop, random_crop, whole


def _random_resized_crop(
    height: int,
    width: int | None = None,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> HostCrop:
    check_range("random_resized_crop.scale", scale, 0, 1)
    check_range("random_resized_crop.ratio", ratio, 0)
    return random_crop(height, height if width is None else width, scale, ratio)


def _resize(height: int, width: int | None = None) -> HostCrop:
    return whole(height, height if width is None else width)


_FIRST: dict[str, Callable[..., HostCrop]] = {"random_resized_crop": _random_resized_crop, "resize": _resize}


def parse_host_crop(specs: Sequence[str], interpolation: Interpolation = "bilinear") -> HostCrop:
    """Turn the beginning of an augmentation list into what the host does with each image file.

    It must bring images of any size to one: "random_resized_crop(S)", or "resize_shorter(R)" with "center_crop(S)", or
    "resize(S)". What follows is left to the device (`HostCrop.num_specs` says from where).

    Raises:
        DataError: where the list begins otherwise.
        ValueError: for wrong arguments.
    """
    names = [spec.strip().split("(")[0] for spec in specs[:2]]
    if names[:1] == ["resize_shorter"] and names[1:] == ["center_crop"]:
        _, shorter = parse_call(specs[0], {"resize_shorter": lambda size: int(size)}, "augmentation")
        _, size = parse_call(
            specs[1], {"center_crop": lambda height, width=None: (height, width or height)}, "augmentation"
        )
        if not 1 <= max(size) <= shorter:
            raise ValueError(
                f"{specs[1]!r} cannot be cut out of what {specs[0]!r} leaves; resize to at least its size."
            )
        return replace(central_crop(shorter, *size), interpolation=interpolation)
    if names[:1] and names[0] in _FIRST:
        crop = parse_call(specs[0], _FIRST, "augmentation")[1]
        if min(crop.height, crop.width) < 1:
            raise ValueError(f"{specs[0]!r} needs a positive size.")
        return replace(crop, interpolation=interpolation)
    raise DataError(
        "image files differ in size, so their augmentation must begin with random_resized_crop(S), or with "
        f"resize_shorter(R) and center_crop(S), or with resize(S); it is {list(specs)}."
    )
