"""What the middle element of each feature map sees of an image."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from cnn_jax.inspect.draw.tiles import INK, WIDTH, blank, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DASHES = ("solid", "dashed", "dashdot", "dotted")
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7")


def draw_receptive_fields(
    image: Float[np.ndarray, "h w"] | Float[np.ndarray, "h w 3"], boxes: Mapping[str, tuple[int, int, int, int]]
) -> "Figure":
    """A box for each feature map, with its own line and its name; a box may reach out of the image.

    Args:
      image: with values from 0 to 1.
      boxes: top, left, bottom and right of each field, as `ReceptiveField.box` gives them.
    """
    from matplotlib.patches import Rectangle

    height, width = image.shape[:2]
    tops, lefts, bottoms, rights = zip((0, 0, height, width), *boxes.values(), strict=True)
    # Of a field that is far larger than the image, what is beyond half the image's side is cut off.
    edge = max(height, width) // 2
    top, left = max(min(tops), -edge) - 1, max(min(lefts), -edge) - 1
    bottom, right = min(max(bottoms), height + edge) + 1, min(max(rights), width + edge) + 1
    line = (right - left) * 0.055
    figure, axes = blank(WIDTH * (bottom - top + line * len(boxes)) / (right - left))
    show(axes, image, (0, width, height, 0))
    for i, (name, (y, x, y2, x2)) in enumerate(boxes.items()):
        style: dict[str, Any] = {"color": _COLOURS[i % 4], "linestyle": _DASHES[i % 4], "linewidth": 2.5}
        axes.add_patch(Rectangle((x, y), x2 - x, y2 - y, fill=False, clip_on=True, **style))
        place = bottom + (i + 0.5) * line
        axes.plot([left + 0.02 * (right - left), left + 0.12 * (right - left)], [place] * 2, **style)
        text = f"{name}: {y2 - y}×{x2 - x} pixels"
        axes.text(left + 0.15 * (right - left), place, text, fontsize=9, color=INK, va="center")
    axes.set(xlim=(left, right), ylim=(bottom + line * len(boxes), top))
    return figure
