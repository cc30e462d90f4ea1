"""Random-resized-crop: which part to cut (arithmetic that host and device share), and cutting it on the device.

Source: Szegedy et al. 2015 ("GoogLeNet"), section 6, with the ten tries and the central fallback that torchvision made
usual.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from .image_op import Image, RandomKey, RandomOp, check_range

TRIES = 10


def crop_box(
    uniforms: Num[Any, "tries 4"],
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    xp: Any,
) -> Any:
    """Choose a box (top, left, rows, columns) in a height × width image from numbers in [0, 1).

    Each row of `uniforms` is a try: it gives the area (uniform between the bounds of `scale`, as a part of the image),
    the aspect
    width / height (uniform in the logarithm) and the place. The first try that fits in the image counts; if none does,
    the box is the
    largest centred one whose aspect is within `ratio`.

    Args:
        xp: the array library, numpy on the host or jax.numpy on the device.

    Returns:
        int32 [4].
    """
    area = height * width * (scale[0] + uniforms[:, 0] * (scale[1] - scale[0]))
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = xp.exp(low + uniforms[:, 1] * (high - low))
    columns = xp.round(xp.sqrt(area * aspect))
    rows = xp.round(xp.sqrt(area / aspect))
    fits = (rows >= 1) & (columns >= 1) & (rows <= height) & (columns <= width)
    top = xp.floor(uniforms[:, 2] * (height - rows + 1))
    left = xp.floor(uniforms[:, 3] * (width - columns + 1))
    tries = xp.stack([top, left, rows, columns], axis=1)
    chosen = xp.where(fits.any(), tries[xp.argmax(fits)], xp.asarray(_central(height, width, ratio), tries.dtype))
    return chosen.astype(xp.int32)


def _central(height: int, width: int, ratio: tuple[float, float]) -> list[int]:
    aspect = min(max(width / height, ratio[0]), ratio[1])
    rows, columns = min(height, round(width / aspect)), min(width, round(height * aspect))
    return [(height - rows) // 2, (width - columns) // 2, rows, columns]


def resize_box(image: Image, box: Num[Array, " 4"], height: int, width: int) -> Float[Array, "height width c"]:
    """Cut the box (top, left, rows, columns) out and scale it to height × width: bilinear, antialiased where it
    shrinks; float32."""
    place, size = box[:2].astype(jnp.float32), box[2:].astype(jnp.float32)
    scale = jnp.array([height, width], jnp.float32) / size
    return jax.image.scale_and_translate(
        image.astype(jnp.float32),
        (height, width, image.shape[2]),
        (0, 1),
        scale,
        -place * scale,
        "bilinear",
        antialias=True,
    )


def random_resized_crop(
    height: int,
    width: int | None = None,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> RandomOp:
    """Cut a random part out and scale it to height × width (a square by default).

    Args:
        scale: the range of the part's area, as a fraction of the image's; (0.08, 1) is GoogLeNet's.
        ratio: the range of its width / height.
    """
    columns = height if width is None else width
    if height < 1 or columns < 1:
        raise ValueError(f"`random_resized_crop` needs a positive size, got {height}×{columns}.")
    check_range("random_resized_crop.scale", scale, 0, 1)
    check_range("random_resized_crop.ratio", ratio, 0)

    def apply(key: RandomKey, image: Image) -> Image:
        box = crop_box(jax.random.uniform(key, (TRIES, 4)), image.shape[0], image.shape[1], scale, ratio, jnp)
        return resize_box(image, box, height, columns)

    return RandomOp(apply)
