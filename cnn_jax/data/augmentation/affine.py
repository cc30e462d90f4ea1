"""Augmentations by an affine map: rotation, shear and translation about the image's centre."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.data.augmentation.image_op import Image, RandomKey, integers, uniform

Matrix = Float[Array, "2 3"]


def affine(image: Image, matrix: Matrix, *, bilinear: bool, fill: int = 0) -> Image:
    """Fetch every pixel (x, y) of the result from matrix @ (x, y, 1) of the image.

    Places are measured from the image's centre. One outside the image gives `fill`; inside, bilinear interpolation
    (float32) repeats the border, as Pillow does, and the nearest pixel keeps the dtype.
    """
    height, width, _ = image.shape
    y, x = jnp.mgrid[0:height, 0:width].astype(jnp.float32) + 0.5
    centred = jnp.stack([x - width / 2, y - height / 2, jnp.ones_like(x)])
    source = jnp.einsum("ij,jhw->ihw", matrix, centred, precision="highest")
    x, y = source[0] + width / 2, source[1] + height / 2
    outside = ((x < 0) | (x >= width) | (y < 0) | (y >= height))[..., jnp.newaxis]
    if not bilinear:
        nearest = image[_index(y, height), _index(x, width)]
        return jnp.where(outside, jnp.asarray(fill, image.dtype), nearest)
    image = image.astype(jnp.float32)
    x, y = x - 0.5, y - 0.5
    right, below = (x - jnp.floor(x))[..., jnp.newaxis], (y - jnp.floor(y))[..., jnp.newaxis]
    rows, columns = (_index(y, height), _index(y + 1, height)), (_index(x, width), _index(x + 1, width))
    above_row, below_row = (image[row, columns[0]] * (1 - right) + image[row, columns[1]] * right for row in rows)
    return jnp.where(outside, jnp.float32(fill), above_row * (1 - below) + below_row * below)


def _index(place: Float[Array, "h w"], size: int) -> Array:
    return jnp.clip(jnp.floor(place), 0, size - 1).astype(jnp.int32)


def rotation(radians: Float[Array, ""]) -> Matrix:
    """The matrix that turns an image counter-clockwise."""
    cos, sin, zero = jnp.cos(radians), jnp.sin(radians), jnp.zeros_like(radians)
    return jnp.stack([jnp.stack([cos, -sin, zero]), jnp.stack([sin, cos, zero])])


def rotate(image: Image, key: RandomKey, degrees: float, fill: int = 0) -> Image:
    """Turn by an angle from −degrees … degrees about the centre, bilinearly; what comes from outside is `fill`."""
    if not 0 <= degrees <= 180:
        raise ValueError(f"`rotate.degrees` must be in [0, 180], got {degrees}.")
    limit = math.radians(degrees)
    return affine(image, rotation(uniform(key, -limit, limit)), bilinear=True, fill=fill)


def rotate90(image: Image, key: RandomKey) -> Image:
    """Turn by 0, 90, 180 or 270 degrees; square images only."""
    if image.shape[0] != image.shape[1]:
        raise ValueError(f"`rotate90` needs square images, got {image.shape[0]}×{image.shape[1]}; crop them first.")
    turned = jnp.stack([jnp.rot90(image, k) for k in range(4)])
    return turned[integers(key, 0, 4)]
