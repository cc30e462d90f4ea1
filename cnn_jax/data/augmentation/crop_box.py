"""Which part random-resized-crop cuts out: arithmetic that the host and the device share.

Source: Szegedy et al. 2015 ("GoogLeNet"), section 6, with the ten tries and the central fallback that torchvision made
usual.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Num

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
    the aspect width / height (uniform in the logarithm) and the place. The first try that fits in the image counts; if
    none does, the box is the largest centred one whose aspect is within `ratio`.

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


def crop_box_host(
    uniforms: Num[np.ndarray, "tries 4"],
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> tuple[int, int, int, int]:
    """`crop_box` for one image on the host: plain numbers, and no try after the first that fits, take a tenth of the
    time."""
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for size, shape, down, right in uniforms.tolist():
        area = height * width * (scale[0] + size * (scale[1] - scale[0]))
        aspect = math.exp(low + shape * (high - low))
        rows, columns = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 1 <= rows <= height and 1 <= columns <= width:
            return int(down * (height - rows + 1)), int(right * (width - columns + 1)), rows, columns
    top, left, rows, columns = _central(height, width, ratio)
    return top, left, rows, columns


def _central(height: int, width: int, ratio: tuple[float, float]) -> list[int]:
    aspect = min(max(width / height, ratio[0]), ratio[1])
    sides = (height, width / aspect), (width, height * aspect)
    rows, columns = (max(1, min(side, round(ideal))) for side, ideal in sides)
    return [(height - rows) // 2, (width - columns) // 2, rows, columns]
