"""Images as points in the plane of a feature's largest variance."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from cnn_jax.inspect.draw.tiles import WIDTH, plain
from cnn_jax.inspect.feature_space import Plane

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "os^DvPX*<>"


def draw_plane(plane: Plane, labels: Int[np.ndarray, "n"], names: Sequence[str]) -> "Figure":
    """A point an image, in the shape and colour of its class; where names are short, the name itself.

    Args:
      labels: the class of each point.
      names: of the classes.
    """
    from matplotlib.figure import Figure

    present = np.unique(labels).tolist()
    as_text = max(len(names[k]) for k in present) <= 2
    rows = 0 if as_text else math.ceil(len(present) / 3)
    figure = Figure(figsize=(WIDTH, WIDTH + 0.2 * rows), layout="constrained")
    axes = figure.add_subplot()
    for k in present:
        points, name = plane.points[labels == k], plain(names[k])
        marker = f"${name}$" if as_text and name.isalnum() else _MARKERS[k % len(_MARKERS)]
        colour = _COLOURS[k % len(_COLOURS)]
        axes.scatter(points[:, 0], points[:, 1], s=45, marker=marker, color=colour, linewidths=0, alpha=0.8, label=name)
    x, y = (f"{share:.0%} of the variance" for share in plane.explained)
    axes.set(xlabel=x, ylabel=y, xticks=[], yticks=[])
    if not as_text:
        figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure
