"""Random-resized-crop on the device.

Source: Szegedy et al. 2015 ("GoogLeNet"), section 6, with the ten tries and the central fallback that torchvision made
usual.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cnn_jax.data.augmentation.geometry import check_size
from cnn_jax.data.augmentation.image_op import Image, RandomKey, uniform
from cnn_jax.data.augmentation.scale import resize_box
from cnn_jax.data.call import check_range
from cnn_jax.data.decoding.host_crop import TRIES, central_box
from cnn_jax.data.decoding.images import Interpolation


def random_resized_crop(
    image: Image,
    key: RandomKey,
    height: int,
    width: int | None = None,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    *,
    interpolation: Interpolation = "bilinear",
) -> Image:
    """Cut a random part out and scale it to height × width (a square by default).

    Args:
      scale: the range of the part's area, as a fraction of the image's; (0.08, 1) is GoogLeNet's.
      ratio: the range of its width / height.
      interpolation: how it is scaled, as `scale_image` does.
    """
    width = height if width is None else width
    check_size("random_resized_crop", height, width)
    check_range("random_resized_crop.scale", scale, 0, 1)
    check_range("random_resized_crop.ratio", ratio, 0)
    box = crop_box(uniform(key, 0, 1, (TRIES, 4)), image.shape[0], image.shape[1], scale, ratio)
    return resize_box(image, box, height, width, interpolation)


def crop_box(
    uniforms: Float[Array, "tries 4"],
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Int[Array, " 4"]:
    """Choose a box (top, left, rows, columns) in a height × width image from numbers in [0, 1).

    Each row of `uniforms` is a try: it gives the area (uniform between the bounds of `scale`, as a part of the image),
    the aspect width / height (uniform in the logarithm) and the place. The first try that fits in the image counts; if
    none does, the box is the largest centred one whose aspect is within `ratio`.
    """
    area = height * width * (scale[0] + uniforms[:, 0] * (scale[1] - scale[0]))
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = jnp.exp(low + uniforms[:, 1] * (high - low))
    columns = jnp.round(jnp.sqrt(area * aspect))
    rows = jnp.round(jnp.sqrt(area / aspect))
    fits = (rows >= 1) & (columns >= 1) & (rows <= height) & (columns <= width)
    top = jnp.floor(uniforms[:, 2] * (height - rows + 1))
    left = jnp.floor(uniforms[:, 3] * (width - columns + 1))
    tries = jnp.stack([top, left, rows, columns], axis=1)
    central = jnp.asarray(central_box(height, width, ratio), tries.dtype)
    return jnp.where(fits.any(), tries[jnp.argmax(fits)], central).astype(jnp.int32)
