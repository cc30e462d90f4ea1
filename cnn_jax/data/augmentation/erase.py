"""Augmentations that blank out a part of the image; [H, W, C] and its dtype stay."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Num

from cnn_jax.data.augmentation.image_op import Image, RandomKey, chance, integers, uniform
from cnn_jax.data.call import check_fraction, check_range


def cutout(image: Image, key: RandomKey, size: int, fill: int = 0) -> Image:
    """Blank a square of `size` pixels whose centre lies anywhere in the image; what reaches over the border is cut off.

    Source: DeVries and Taylor 2017 (16 pixels on CIFAR-10, 8 on CIFAR-100; there after the mean is subtracted, here
    black by default).
    """
    if size < 1:
        raise ValueError(f"`cutout.size` must be positive, got {size}.")
    height, width, _ = image.shape
    centre = integers(key, 0, jnp.array([height, width], jnp.int32), (2,))
    top, left = centre - size // 2
    return jnp.where(inside(height, width, top, left, size, size), jnp.asarray(fill, image.dtype), image)


def random_erasing(
    image: Image,
    key: RandomKey,
    probability: float = 0.5,
    area: tuple[float, float] = (0.02, 0.4),
    ratio: float = 0.3,
    fill: int | None = None,
) -> Image:
    """With this probability, replace a rectangle by noise (or by `fill`).

    Args:
      area: the range of the rectangle's part of the image.
      ratio: the smallest ratio of its height to its width, the largest being the inverse; drawn uniformly in the
        logarithm.
      fill: None draws every value from 0..255.

    Source: Zhong et al. 2020, whose defaults these are. There a rectangle that does not fit is drawn again; here its
    sides are cut to the image's, which jit can do without a loop.
    """
    check_fraction("random_erasing.probability", probability)
    check_range("random_erasing.area", area, 0, 1)
    if not 0 < ratio <= 1:
        raise ValueError(f"`random_erasing.ratio` must be in (0, 1], got {ratio}.")
    height, width, _ = image.shape
    on, size, shape, place, noise = jax.random.split(key, 5)
    pixels = uniform(size, area[0], area[1]) * (height * width)
    aspect = jnp.exp(uniform(shape, math.log(ratio), -math.log(ratio)))
    rows = jnp.clip(jnp.round(jnp.sqrt(pixels * aspect)), 1, height).astype(jnp.int32)
    columns = jnp.clip(jnp.round(jnp.sqrt(pixels / aspect)), 1, width).astype(jnp.int32)
    room = jnp.array([height, width], jnp.int32) - jnp.stack([rows, columns])
    top, left = integers(place, 0, room + 1, (2,))
    erased = inside(height, width, top, left, rows, columns) & chance(on, probability)
    if fill is None:
        new = integers(noise, 0, 256, image.shape).astype(image.dtype)
    else:
        new = jnp.full(image.shape, fill, image.dtype)
    return jnp.where(erased, new, image)


def inside(
    height: int,
    width: int,
    top: Num[Array, ""],
    left: Num[Array, ""],
    rows: Num[Array, ""] | int,
    columns: Num[Array, ""] | int,
) -> Bool[Array, "h w 1"]:
    """Which pixels of a height × width image lie in the rectangle of rows × columns that begins at (top, left)."""
    y, x = jnp.arange(height)[:, jnp.newaxis, jnp.newaxis], jnp.arange(width)[:, jnp.newaxis]
    return (y >= top) & (y < top + rows) & (x >= left) & (x < left + columns)
