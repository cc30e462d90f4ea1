"""The page: everything of a report in one HTML file, which loads nothing and runs no code but its own.

Text of runs is escaped by Jinja, and a content security policy lets only the scripts run whose digests stand in it.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import altair as alt
import jinja2
import vl_convert

from cnn_jax.inspect.confusions import commonest_confusions
from cnn_jax.inspect.draw import draw_confusion, draw_reliability
from cnn_jax.inspect.draw.page import Picture, head, picture
from cnn_jax.study.predicted import Predicted
from cnn_jax.study.report import charts, figures, sections
from cnn_jax.study.report.cost import costs
from cnn_jax.study.report.examples import class_names, telling_images
from cnn_jax.study.report.subject import Subject
from cnn_jax.study.table import HEAD, Row, cells, is_percent, note, verdict

_PANELS = (
    ("train", "loss", "Training loss"),
    ("validation", "top1", "Validation accuracy, %"),
)
_CLASSES = 20  # of which a confusion matrix is drawn; of more, the commonest confusions are listed
_MARKS = {"higher": "▲", "lower": "▼", "no difference found": "≈"}


def html(subject: Subject, rows: Sequence[Row], predicted: Predicted, *, trust_code: bool) -> str:
    """The page of a report.

    Args:
      rows: of the table; none before all runs are done.
      predicted: of the same runs.
      trust_code: run code of one's own in the folders, although this user has not trained with it.
    """
    drawn: list[dict[str, Any]] = []

    def draw(chart: alt.TopLevelMixin) -> int:
        drawn.append(charts.as_json(chart))
        return len(drawn) - 1

    drawable = figures.with_interval(rows)
    context = {
        "subject": subject,
        "facts": sections.facts(subject),
        "conclusions": sections.conclusions(rows, subject.metric),
        "head": HEAD,
        "table": _table(rows, subject.metric),
        "note": note(subject.metric),
        "measures": sections.measures(subject) if rows else [],
        "forest": draw(charts.forest(drawable, len(rows) - 1, subject.metric)) if drawable else None,
        "beyond": any(row.difference_of_all for row in rows),
        "curves": _curves(subject, draw),
        "differences": sections.differences(subject),
        "confusion": _confusion(subject, predicted),
        "calibration": _calibration(subject, predicted),
        "images": telling_images(subject, predicted, trust_code=trust_code) if predicted else None,
        "costs": costs(subject, trust_code=trust_code),
        "environment": sections.environment(subject),
        "commands": sections.commands(subject),
        "runs": sections.runs(subject, with_test=bool(rows)),
        "charts": drawn,
    }
    place = files("cnn_jax.study.report")
    script = vl_convert.javascript_bundle(place.joinpath("page.js").read_text(), vl_version=charts.VERSION)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(place.joinpath("page.html").read_text())
    return template.render(context, page_head=head(subject.question, f"'{_digest(script)}'"), script=script)


def _digest(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _table(rows: Sequence[Row], metric: str) -> list[dict[str, Any]]:
    said = [verdict(row, len(rows) - 1) for row in rows]
    found = [[cell[0], *map(sections.with_minus, cell[1:])] for cell in cells(rows, metric)]
    return [
        {"cells": cell, "mark": _MARKS.get(what, "?") if what else "", "kind": what.split()[0] if what else "base"}
        for cell, what in zip(found, said, strict=True)
    ]


def _curves(subject: Subject, draw: Any) -> list[dict[str, Any]]:
    found = []
    for split, metric, title in _PANELS:
        by_arm = {arm: figures.curve(runs, split, metric) for arm, runs in subject.arms.items()}
        by_arm = {arm: points for arm, points in by_arm.items() if len(points) > 1}
        if not by_arm:
            continue
        every = [point for points in by_arm.values() for point in points]
        panels = []
        for arm, sides in _beside_base(subject, by_arm).items():
            chart = charts.curves(sides, percent=is_percent(metric), beside=every)
            panels.append({"arm": arm, "chart": draw(chart)})
        found.append(
            {
                "title": title,
                "panels": panels,
                "base": subject.base if len(by_arm) > 1 and subject.base in by_arm else None,
            }
        )
    return found


def _beside_base[T](subject: Subject, by_arm: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """Each arm beside the base; the base alone where there is no other."""
    base = {subject.base: by_arm[subject.base]} if subject.base in by_arm else {}
    others = [arm for arm in by_arm if arm != subject.base] or list(by_arm)
    return {arm: {**base, arm: by_arm[arm]} for arm in others}


def _confusion(subject: Subject, predicted: Predicted) -> dict[str, Any] | None:
    """Of each arm a drawing, or, of many classes, what is confused most."""
    if not predicted:
        return None
    names = class_names(subject)
    counts = {arm: figures.confusion(found, len(names)) for arm, found in predicted.items()}
    if len(names) <= _CLASSES:
        drawn = {
            arm: picture(f"confusion_{i}", draw_confusion(c, names), arm) for i, (arm, c) in enumerate(counts.items())
        }
        return {"pictures": drawn, "lists": []}
    pairs = {arm: commonest_confusions(c, names) for arm, c in counts.items()}
    return {
        "pictures": {},
        "lists": [{"arm": a, "pairs": [(i, j, f"{share:.1%}") for i, j, share in found]} for a, found in pairs.items()],
    }


def _calibration(subject: Subject, predicted: Predicted) -> dict[str, Picture]:
    """Of each arm, beside the base, whether its networks are as sure as they are right."""
    sides = _beside_base(subject, {arm: figures.calibration(found) for arm, found in predicted.items()})
    return {
        arm: picture(
            f"reliability_{i}", draw_reliability(both), f"Accuracy by confidence: {', beside '.join(reversed(both))}"
        )
        for i, (arm, both) in enumerate(sides.items())
    }
