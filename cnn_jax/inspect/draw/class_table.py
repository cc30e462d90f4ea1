"""Which class is taken for which, as a table of shades with its percentages written in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from cnn_jax.inspect.draw.tiles import INK, WIDTH, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_confusion(counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> "Figure":
    """For each true class, a row, which percentage is taken for which; less than one is left blank.

    Args:
      counts: as `confusion` gives them.
      names: of the classes.
    """
    from matplotlib.figure import Figure

    with np.errstate(invalid="ignore"):  # a class without examples divides zero by zero, and is left blank
        shares = np.nan_to_num(counts / counts.sum(1, keepdims=True))
    figure = Figure(figsize=(WIDTH, WIDTH), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares**0.6, cmap="Blues", vmin=0, vmax=1)
    short = [name if len(name) <= 14 else f"{name[:13]}…" for name in map(plain, names)]
    size = min(9.0, 110 / len(names))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(range(len(names)), labels=short, fontsize=size)
    axes.tick_params(length=0)
    if max(map(len, short)) > 2:
        axes.tick_params(axis="x", labelrotation=90)
    axes.set(xlabel="taken for", ylabel="is")
    for row, column in np.argwhere(shares >= 0.01):
        share = shares[row, column]
        colour = "white" if share > 0.4 else INK
        axes.text(column, row, f"{100 * share:.0f}", fontsize=size, color=colour, ha="center", va="center")
    axes.spines[:].set_visible(False)
    return figure
