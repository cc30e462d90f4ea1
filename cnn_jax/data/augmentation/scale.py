"""Scaling on the device: bilinear or bicubic, antialiased where it shrinks, as Pillow scales."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from cnn_jax.data.augmentation.image_op import Image
from cnn_jax.data.decoding.images import Interpolation

# JAX's cubic kernel is that of Keys 1981 with a = −1/2, as Pillow's.
_METHODS: dict[Interpolation, str] = {"bilinear": "bilinear", "bicubic": "cubic"}


def scale_image(image: Image, height: int, width: int, interpolation: Interpolation) -> Float[Array, "height width c"]:
    """Scale to height × width: float32, on 0..255."""
    shape = (height, width, image.shape[2])
    scaled = jax.image.resize(image.astype(jnp.float32), shape, _METHODS[interpolation], antialias=True)
    return _in_range(scaled, interpolation)


def resize_box(
    image: Image, box: Num[Array, " 4"], height: int, width: int, interpolation: Interpolation
) -> Float[Array, "height width c"]:
    """Cut the box (top, left, rows, columns) out and scale it to height × width: float32, on 0..255."""
    place, size = box[:2].astype(jnp.float32), box[2:].astype(jnp.float32)
    scale = jnp.array([height, width], jnp.float32) / size
    scaled = jax.image.scale_and_translate(
        image.astype(jnp.float32),
        (height, width, image.shape[2]),
        (0, 1),
        scale,
        -place * scale,
        _METHODS[interpolation],
        antialias=True,
    )
    return _in_range(scaled, interpolation)


def _in_range(image: Float[Array, "h w c"], interpolation: Interpolation) -> Float[Array, "h w c"]:
    """Bicubic weights can be negative: beside an edge the result leaves 0..255, where Pillow cuts it off too."""
    return image.clip(0, 255) if interpolation == "bicubic" else image
