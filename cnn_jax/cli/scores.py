"""The figures of an evaluation, as tables for people."""

import math
from collections.abc import Mapping
from typing import Any

from cnn_jax.cli.output import console

_MEASURES = {
    "top1": ("top-1 accuracy", ".2%"),
    "top5": ("top-5 accuracy", ".2%"),
    "loss": ("loss, as trained", ".4f"),
    "nll": ("negative log likelihood", ".4f"),
    "brier": ("Brier score, 0 to 2", ".4f"),
    "ece": ("calibration error", ".4f"),
}
_BY_CLASS = {"per_class": ("top-1", ".2%"), "nll_per_class": ("NLL", ".4f"), "brier_per_class": ("Brier", ".4f")}


def print_evaluation(figures: Mapping[str, Any], title: str, *, most: int | None = None) -> None:
    """The figures, beside those of the run's own data where they are of others.

    Args:
      most: show so many classes, the least accurate; None: all, in their order.
    """
    from rich.table import Table

    print(f"{title}: {figures['num_examples']} {figures['split']} examples at step {figures['step']}")
    columns = {"value": figures}
    if "data" in figures:
        data = figures["data"]
        print(f"on {data['folder'] or data['name']}; its images: {', '.join(data['eval_augment']) or 'as they are'}")
        if data["missing_classes"]:
            print(f"no examples of: {', '.join(data['missing_classes'])}")
        columns = {data["name"]: figures} | ({"the run's own": figures["own"]} if figures["own"] else {})
    if left_out := figures.get("skipped_files"):
        print(f"files of the data set left out, which could not be decoded: {left_out}")
    table = Table("measure", *columns)
    for column in table.columns[1:]:
        column.justify = "right"
    for key, (name, form) in _MEASURES.items():
        if any(key in each for each in columns.values()):
            table.add_row(name, *(_shown(each.get(key), form) for each in columns.values()))
    _add_calibrated(table, columns)
    if most is not None:
        _add_worst(table, figures, most)
    console().print(table)
    if most is None:
        _print_classes(columns)


def _add_calibrated(table: Any, columns: Mapping[str, Any]) -> None:
    """The temperature, the same for all columns, and what the logits divided by it give."""
    found = [each["calibrated"] for each in columns.values() if "calibrated" in each]
    if not found:
        return
    temperature = found[0]["temperature"]
    if temperature is None:
        table.caption = f"no temperature: {found[0]['why']}"
        return
    table.add_section()
    table.add_row(f"with temperature {temperature:.4g}, fitted on validation:", *("" for _ in found))
    for key in ("nll", "brier", "ece"):
        name, form = _MEASURES[key]
        table.add_row(f"  {name}", *(_shown(each[key], form) for each in found))


def _add_worst(table: Any, figures: Mapping[str, Any], most: int) -> None:
    classes = list(figures["per_class"].items())
    if most < len(classes):
        classes = sorted(classes, key=lambda row: 1 if row[1] is None else row[1])[:most]
        table.add_row(f"the {most} least accurate classes:", "")
    for name, value in classes:
        table.add_row(f"  top-1 of {name}", "no examples" if value is None else f"{value:.2%}")


def _print_classes(columns: Mapping[str, Any]) -> None:
    from rich.table import Table

    heads = [head for head, _ in _BY_CLASS.values()]
    table = Table("class", *heads, *([f"own {head}" for head in heads] if len(columns) > 1 else []))
    for column in table.columns[1:]:
        column.justify = "right"
    first = next(iter(columns.values()))
    for name in first["per_class"]:
        values = [each[key].get(name) for each in columns.values() for key in _BY_CLASS]
        forms = [form for _ in columns for _, form in _BY_CLASS.values()]
        table.add_row(name, *("–" if v is None else _shown(v, form) for v, form in zip(values, forms, strict=True)))
    console().print(table)


def _shown(value: float | None, form: str) -> str:
    """A figure for people; `metrics.jsonl` keeps one that is not finite as null."""
    return "not finite" if value is None or not math.isfinite(value) else format(value, form)
