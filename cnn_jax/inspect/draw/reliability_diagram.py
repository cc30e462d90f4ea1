"""Whether a network is as sure as it is right: the accuracy of the examples that it gives each confidence."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cnn_jax.inspect.calibration import Reliability
from cnn_jax.inspect.draw.tiles import BLUE, INK, ORANGE, WIDTH, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLES = ({"color": BLUE, "marker": "o", "ls": "-"}, {"color": ORANGE, "marker": "s", "ls": "--"})


def draw_reliability(curves: Mapping[str, Reliability]) -> "Figure":
    """Accuracy by confidence, a curve each with its calibration error; below, how many examples have each confidence.

    Args:
      curves: one or two, such as before and after temperature scaling, by name.

    Source: Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks", figure 1.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 1.1 * WIDTH), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    upper.plot([0, 1], [0, 1], color=INK, lw=1, ls=":", label="as sure as right")
    bins = len(next(iter(curves.values())).count)
    for i, (name, found) in enumerate(curves.items()):
        style, there = _STYLES[i % 2], found.count > 0
        label = f"{plain(name)}: ECE {found.ece:.2%}"
        upper.plot(found.confidence[there], found.accuracy[there], lw=1.5, ms=5, label=label, **style)
        places = [(bin + 0.3 + 0.4 * i) / bins if len(curves) > 1 else (bin + 0.5) / bins for bin in range(bins)]
        lower.bar(
            places, found.count, width=0.38 / bins, color=style["color"], hatch="" if i == 0 else "///", alpha=0.8
        )
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.03))
    figure.legend(fontsize=9, frameon=False, loc="outside upper left")
    upper.grid(alpha=0.3)
    lower.set(xlabel="confidence", ylabel="examples", yscale="symlog")
    lower.grid(alpha=0.3, axis="y")
    return figure
