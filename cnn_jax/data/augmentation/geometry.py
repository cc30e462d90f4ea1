"""Augmentations that move pixels: [H, W, C] -> [H, W, C]; the dtype stays unless interpolation makes it float32."""

import jax
import jax.numpy as jnp

from ..call import check_fraction
from ..interpolation import Interpolation
from .image_op import FixedOp, Image, RandomKey, RandomOp, chance, integers
from .scale import scale_image


def pad_crop(padding: int, fill: int = 0) -> RandomOp:
    """Pad every side by `padding` pixels of value `fill`, then cut the original size out at a random place.

    Source: Lee et al. 2015 and He et al. 2015, §4.2 (padding 4 on CIFAR; there after the mean is subtracted, here
    black by default).
    """
    if padding < 0:
        raise ValueError(f"`pad_crop.padding` must not be negative, got {padding}.")

    def apply(key: RandomKey, image: Image) -> Image:
        height, width, channels = image.shape
        top, left = integers(key, 0, 2 * padding + 1, (2,))
        padded = jnp.pad(image, ((padding, padding), (padding, padding), (0, 0)), constant_values=fill)
        return jax.lax.dynamic_slice(padded, (top, left, jnp.int32(0)), (height, width, channels))

    return RandomOp(apply)


def random_crop(height: int, width: int | None = None) -> RandomOp:
    """Cut height × width (a square by default) out at a random place, in its original size.

    Source: Krizhevsky et al. 2012, §4.1 (224 of 256 pixels).
    """
    columns = height if width is None else width
    _check_size("random_crop", height, columns)

    def apply(key: RandomKey, image: Image) -> Image:
        down, right = image.shape[0] - height, image.shape[1] - columns
        if down < 0 or right < 0:
            raise ValueError(
                f"`random_crop` cannot cut {height}×{columns} out of {image.shape[0]}×{image.shape[1]}; "
                "resize to more first."
            )
        top, left = integers(key, 0, jnp.array([down + 1, right + 1], jnp.int32), (2,))
        return jax.lax.dynamic_slice(image, (top, left, jnp.int32(0)), (height, columns, image.shape[2]))

    return RandomOp(apply)


def horizontal_flip(probability: float = 0.5) -> RandomOp:
    """Mirror left and right with this probability."""
    check_fraction("horizontal_flip.probability", probability)
    return RandomOp(lambda key, image: _one_of(key, probability, image, image[:, ::-1]))


def vertical_flip(probability: float = 0.5) -> RandomOp:
    """Mirror top and bottom with this probability."""
    check_fraction("vertical_flip.probability", probability)
    return RandomOp(lambda key, image: _one_of(key, probability, image, image[::-1]))


def _one_of(key: RandomKey, probability: float, image: Image, changed: Image) -> Image:
    """`changed` with this probability. Fetching one of two copies takes half the time of `jnp.where` on a CPU, for a
    batch."""
    return jnp.stack([image, changed])[chance(key, probability).astype(jnp.int32)]


def resize(interpolation: Interpolation, height: int, width: int | None = None) -> FixedOp:
    """Scale to height × width (a square by default), as `scale_image` does; float32, on 0..255."""
    columns = height if width is None else width
    _check_size("resize", height, columns)
    return FixedOp(lambda image: scale_image(image, height, columns, interpolation))


def resize_shorter(interpolation: Interpolation, size: int) -> FixedOp:
    """Scale so that the shorter side becomes `size`, keeping the aspect; otherwise as `resize`."""
    _check_size("resize_shorter", size, size)

    def apply(image: Image) -> Image:
        height, width, _ = image.shape
        factor = size / min(height, width)
        return scale_image(image, round(height * factor), round(width * factor), interpolation)

    return FixedOp(apply)


def center_crop(height: int, width: int | None = None) -> FixedOp:
    """Cut height × width (a square by default) out of the middle; an odd rest goes to the bottom and the right."""
    width = height if width is None else width
    _check_size("center_crop", height, width)

    def apply(image: Image) -> Image:
        rows, columns = image.shape[0] - height, image.shape[1] - width
        if rows < 0 or columns < 0:
            raise ValueError(
                f"`center_crop` cannot cut {height}×{width} out of {image.shape[0]}×{image.shape[1]}; resize first."
            )
        return image[rows // 2 : rows // 2 + height, columns // 2 : columns // 2 + width]

    return FixedOp(apply)


def pad(padding: int, fill: int = 0) -> FixedOp:
    """Add `padding` pixels of value `fill` on every side: LeNet-5 sees MNIST's 28×28 as 32×32 by `pad(2)`."""
    if padding < 0:
        raise ValueError(f"`pad.padding` must not be negative, got {padding}.")
    sides = ((padding, padding), (padding, padding), (0, 0))
    return FixedOp(lambda image: jnp.pad(image, sides, constant_values=fill))


def _check_size(name: str, height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ValueError(f"`{name}` needs a positive size, got {height}×{width}.")
