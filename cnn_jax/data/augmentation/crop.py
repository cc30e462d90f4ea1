"""Random-resized-crop on the device: `crop_box` chooses the part, here it is cut out and scaled."""

import jax.numpy as jnp

from ..call import check_range
from ..interpolation import Interpolation
from .crop_box import TRIES, crop_box
from .image_op import Image, RandomKey, RandomOp, uniform
from .scale import resize_box


def random_resized_crop(
    interpolation: Interpolation,
    height: int,
    width: int | None = None,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> RandomOp:
    """Cut a random part out and scale it to height × width (a square by default).

    Args:
        interpolation: how it is scaled, as `scale_image` does.
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
        return resize_box(image, box, height, columns, interpolation)

    return RandomOp(apply)
