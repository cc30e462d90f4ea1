"""One image, and beside it what the network looks at: maps laid over it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from cnn_jax.inspect.draw.tiles import INK, ORANGE, SIGNS, WIDTH, blank, frame, plain, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GAP, _HEAD = 0.1, 0.2  # inches: between pictures, and of a line of text


def draw_explanation(
    image: Float[np.ndarray, "h w"] | Float[np.ndarray, "h w 3"],
    maps: Mapping[str, Float[np.ndarray, "h2 w2"]],
    title: str,
    *,
    is_right: bool | None = None,
) -> "Figure":
    """The image, and each map over it: bright where it is large, and outlined by dashes where it is below zero.

    Args:
      image: with values from 0 to 1.
      maps: of any size, stretched over the whole image; each has its own scale.
      title: what the network says of the image.
      is_right: whether that is so: ✓ or ✗ before the title, and a thick frame around the image.
    """
    tile = (WIDTH - 3 * _GAP) / 2
    tall = tile * image.shape[0] / image.shape[1]
    rows = (len(maps) + 2) // 2
    height = rows * (tall + _HEAD + _GAP) + _HEAD
    figure, axes = blank(height)
    grey = image if image.ndim == 2 else image.mean(-1)
    places = [(_GAP + (i % 2) * (tile + _GAP), 2 * _HEAD + (i // 2) * (tall + _HEAD + _GAP)) for i in range(2 * rows)]
    for (name, values), (left, top) in zip([("the image", None), *maps.items()], places, strict=False):
        extent = (left, left + tile, top + tall, top)
        show(axes, image if values is None else 0.6 * grey, extent)
        axes.text(left + tile / 2, top - 0.03, name, fontsize=9, color=INK, ha="center", va="bottom")
        if values is None:
            if is_right is False:
                frame(axes, (left, top, tile, tall))
            continue
        values = np.asarray(values, np.float32)
        most = float(np.abs(values).max()) or 1.0
        strength = np.clip(values / most, 0, 1)
        show(axes, values, extent, cmap="inferno", vmax=most, interpolation="bilinear", alpha=0.25 + 0.65 * strength)
        if min(values.shape) > 1 and values.min() < -0.1 * most:
            cells = [(np.arange(n) + 0.5) * side / n for n, side in zip(values.shape, (tall, tile), strict=True)]
            lines: dict[str, Any] = {"colors": "white", "linestyles": "dashed", "linewidths": 1}
            axes.contour(left + cells[1], top + cells[0], values, levels=[-0.1 * most], **lines)
    colour = ORANGE if is_right is False else INK
    axes.text(_GAP, 0.02, SIGNS[is_right] + plain(title), fontsize=10, fontweight="bold", color=colour, va="top")
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    return figure
