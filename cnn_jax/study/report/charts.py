"""The charts of a report as Vega-Lite: forest plot and learning curves.

Colours are Okabe and Ito's (2008), which the colour-blind tell apart; no chart says anything by its colour alone. Text
of runs stands in the data and never in a name of a field or an expression.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from cnn_jax.study.report.figures import Point
from cnn_jax.study.table import Row, is_percent, verdict

BLUE, ORANGE, GREY, INK = "#0072B2", "#D55E00", "#767676", "#1b1f24"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_ROW = 48  # pixels of an arm in the forest plot: its name above its interval
_AXIS = 48  # below them


def forest(rows: Sequence[Row], arms: int, metric: str) -> alt.TopLevelMixin:
    """The paired difference of each arm to the base with its 95 % t-interval, filled where it is decided.

    A thin line is the wider interval, for other test examples too.

    Args:
      rows: as `figures.with_interval` chooses them.
      arms: of the study.
    """
    scale = 100 if is_percent(metric) else 1
    data = [
        {
            "arm": row.arm,
            "difference": scale * row.difference.mean,
            "low": scale * row.difference.low,
            "high": scale * row.difference.high,
            "verdict": verdict(row, arms),
            "decided": bool(row.decided),
        }
        for row in rows
        if row.difference is not None
    ]
    unit = "percentage points" if is_percent(metric) else metric
    x = alt.X(
        "low:Q",
        title=f"difference of {metric} to the base ({unit})",
        scale=alt.Scale(zero=True, nice=True),
        axis=alt.Axis(tickCount=6),
    )
    y = alt.Y("arm:N", sort=None, axis=None)
    number = ".2f" if is_percent(metric) else ".4g"
    tooltip = [
        alt.Tooltip("arm:N"),
        *(alt.Tooltip(f"{name}:Q", format=f"+{number}") for name in ("difference", "low", "high")),
        alt.Tooltip("verdict:N"),
    ]
    wide = {row.arm: row.difference_of_all for row in rows if row.difference_of_all is not None}
    for point in data:
        if (interval := wide.get(str(point["arm"]))) is not None and np.isfinite(interval.half):
            point |= {"wide_low": scale * interval.low, "wide_high": scale * interval.high}
    chart = alt.Chart(alt.Data(values=data))
    thin = chart.mark_rule(strokeWidth=1, color=BLUE).encode(x="wide_low:Q", x2="wide_high:Q", y=y, tooltip=tooltip)
    zero = chart.mark_rule(color=INK, strokeDash=[2, 3]).encode(x=alt.datum(0))
    thick = chart.mark_rule(strokeWidth=3, color=BLUE).encode(x=x, x2="high:Q", y=y, tooltip=tooltip)
    point = chart.mark_point(size=130, strokeWidth=2.5, color=BLUE, opacity=1).encode(
        x="difference:Q",
        y=y,
        fill=alt.condition("datum.decided", alt.value(BLUE), alt.value("white")),
        tooltip=tooltip,
    )
    text: dict[str, Any] = {"align": "left", "dy": -16, "fontSize": 13, "limit": alt.ExprRef("width")}
    beside = {"x": alt.value(2), "y": y, "text": "arm:N"}
    halo = chart.mark_text(stroke="white", strokeWidth=5, **text).encode(**beside)
    name = chart.mark_text(color=INK, **text).encode(**beside)
    layers = [zero, *([thin] if wide else []), thick, point, halo, name]
    return _finished(alt.layer(*layers), height=_ROW * len(data) + _AXIS)


def curves(sides: Mapping[str, Sequence[Point]], *, percent: bool, beside: Sequence[Point]) -> alt.TopLevelMixin:
    """One metric by epoch: the mean over seeds, and the band from the least seed to the greatest.

    Args:
      sides: one arm; or the base and an arm, the base first.
      beside: the points of all such charts, for one scale.
    """
    scale = 100 if percent else 1
    data = [
        {"arm": arm, "step": p.step, "epoch": p.epoch}
        | {name: scale * getattr(p, name) for name in ("mean", "low", "high")}
        for arm, points in sides.items()
        for p in points
    ]
    arms = list(sides)
    colours, dashes = ([GREY, BLUE], [[5, 3], [1, 0]]) if len(arms) == 2 else ([BLUE], [[1, 0]])
    low, high = min(scale * p.low for p in beside), max(scale * p.high for p in beside)
    if not percent and low > 0 and high / low > 20:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        axis = alt.Axis(values=[10.0**power for power in decades])
        values = alt.Scale(type="log", domain=[10.0 ** decades[0], 10.0 ** decades[-1]])
    else:
        axis = alt.Axis(tickCount=4)
        values = alt.Scale(domain=[low, high], nice=True)

    def y(name: str) -> alt.Y:
        return alt.Y(f"{name}:Q", title=None, scale=values, axis=axis)

    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickCount=4, grid=False))
    colour = alt.Color("arm:N", scale=alt.Scale(domain=arms, range=colours), legend=None)
    dash = alt.StrokeDash("arm:N", scale=alt.Scale(domain=arms, range=dashes), legend=None)
    chart = alt.Chart()
    band = chart.mark_area(opacity=0.22).encode(x=x, y=y("low"), y2="high:Q", color=colour)
    line = chart.mark_line(strokeWidth=2).encode(x=x, y=y("mean"), color=colour, strokeDash=dash)
    layers = alt.layer(band, line, _read_out(sides, scale), data=alt.Data(values=data))
    return _finished(layers, height=170)


def _read_out(sides: Mapping[str, Sequence[Point]], scale: float) -> alt.Chart:
    """Columns that are not seen, one around each step: what one points at says what all curves are there."""
    names = ("base", "arm") if len(sides) == 2 else ("arm",)
    said: dict[float, dict[str, Any]] = {}
    for name, points in zip(names, sides.values(), strict=True):
        for p in points:
            mean, low, high = (f"{scale * value:.4g}" for value in (p.mean, p.low, p.high))
            said.setdefault(p.epoch, {"step": p.step, **dict.fromkeys(names, "not logged here")})[name] = (
                f"{mean} ({low} to {high})"
            )
    epochs = sorted(said)
    edges = [epochs[0], *((a + b) / 2 for a, b in itertools.pairwise(epochs)), epochs[-1]]
    data = [
        {"epoch": epoch, "from": left, "to": right, **said[epoch]}
        for epoch, (left, right) in zip(epochs, itertools.pairwise(edges), strict=True)
    ]
    tooltip = [alt.Tooltip("epoch:Q", format=".1f"), alt.Tooltip("step:Q", format=",")]
    tooltip += [alt.Tooltip(f"{name}:N") for name in reversed(names)]
    pointed = alt.selection_point(on="pointerover", clear="pointerout", fields=["epoch"], empty=False)
    return (
        alt.Chart(alt.Data(values=data))
        .mark_rect(color=INK)
        .encode(
            x="from:Q",
            x2="to:Q",
            opacity=alt.condition(pointed, alt.value(0.12), alt.value(0)),
            tooltip=tooltip,
        )
        .add_params(pointed)
    )


def _finished(chart: Any, *, height: int) -> alt.TopLevelMixin:
    size = alt.AutoSizeParams(type="fit", contains="padding")
    finished: alt.TopLevelMixin = chart.properties(width="container", height=height, autosize=size).configure(
        font=_FONT,
        background="transparent",
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal", titleColor=INK, labelColor=INK,
            gridColor="#e4e7eb", domainColor="#9aa3ad", tickColor="#9aa3ad",
        ),
    )  # fmt: skip
    return finished


def as_json(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """What the page's JavaScript draws."""
    return chart.to_dict(validate=False)


def as_png(chart: alt.TopLevelMixin) -> bytes:
    """For a paper: 600 points wide, three pixels a point."""
    import vl_convert

    specification = chart.to_dict()
    specification |= {"width": 560, "background": "white"}
    return vl_convert.vegalite_to_png(specification, vl_version=VERSION, scale=3)


VERSION = alt.SCHEMA_VERSION.rpartition(".")[0]
"""Of Vega-Lite, as vl-convert names it."""
