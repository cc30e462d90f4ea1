"""Random-resized-crop on the device: `crop_box` chooses the part, here it is cut out and scaled."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from ..call import check_range
from .crop_box import TRIES, crop_box
from .image_op import Image, RandomKey, RandomOp, uniform


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
        box = crop_box(uniform(key, 0, 1, (TRIES, 4)), image.shape[0], image.shape[1], scale, ratio, jnp)
        return resize_box(image, box, height, columns)

    return RandomOp(apply)
