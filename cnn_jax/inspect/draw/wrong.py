"""The mistakes that a network is surest of, each with its true and its predicted class in words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, UInt8

from cnn_jax.inspect.draw.tiles import draw_tiles, to_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_mistakes(
    images: UInt8[np.ndarray, "m h w c"],
    labels: Int[np.ndarray, "m"],
    predicted: Int[np.ndarray, "m"],
    probabilities: Float[np.ndarray, "m"],
    names: Sequence[str],
) -> "Figure":
    """Each image in a frame, and above it ✗, what it is, what it is taken for, and with which probability.

    Args:
      names: of the classes.
    """
    titles = [
        f"is {names[label]}, taken for {names[taken]}, {sure:.0%}"
        for label, taken, sure in zip(labels, predicted, probabilities, strict=True)
    ]
    return draw_tiles(to_image(images / np.float32(255)), titles, marks=[False] * len(images))
