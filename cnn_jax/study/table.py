"""The table of a study: means, paired differences to the base, and what the deciding procedure says of each arm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from cnn_jax.runs.console.markdown import markdown_table
from cnn_jax.study.ablation import BASE, METRICS
from cnn_jax.study.statistics import (
    LEVEL,
    Interval,
    crossed_interval,
    detectable,
    holm,
    least_p,
    pairing,
    seeds_needed,
    sign_flip_p,
    spread_interval,
    t_interval,
)

HEAD = (
    "arm",
    "n",
    "mean",
    "of all examples",
    "difference to base",
    "of all examples",
    "p",
    "verdict",
    "correlation",
    "found in 80 %",
)

Right = Mapping[str, Mapping[int, Bool[np.ndarray, "m"]]]
"""By arm and seed: which of the test examples, the same m in all, the network is right about."""


@dataclass(frozen=True)
class Row:
    """An arm beside the base.

    Attributes:
      seeds: those that both have finished.
      mean: over the arm's seeds, on this test set.
      of_all: the same, over other examples than these as well; None where the metric is not one of single examples.
      difference: arm less base, paired by seed; None of the base itself, as what follows.
      difference_of_all: the same, over other examples as well.
      p: two-sided, by sign flips.
      decided: whether Holm's procedure over all arms rejects that arm and base are alike.
      correlation: of arm and base over the seeds.
      detects: the difference that so many seeds find in 80 %, with the range that the estimated spread allows.
    """

    arm: str
    seeds: tuple[int, ...]
    mean: Interval
    of_all: Interval | None = None
    difference: Interval | None = None
    difference_of_all: Interval | None = None
    p: float | None = None
    decided: bool | None = None
    correlation: float | None = None
    detects: tuple[float, float, float] | None = None


def compare(values: Mapping[str, Mapping[int, float]], right: Right | None = None) -> list[Row]:
    """The rows of a study.

    Args:
      values: of the primary metric, by arm and seed; the base is "base".
      right: of the same runs, where the metric is the part of examples that are right; None where it is another.
    """
    base, arms = values[BASE], [arm for arm in values if arm != BASE]
    rows = [Row(BASE, tuple(base), t_interval(_array(base)), _crossed(right, BASE, tuple(base)))]
    pairs = {arm: [seed for seed in values[arm] if seed in base] for arm in arms}
    differences = {arm: np.array([values[arm][s] - base[s] for s in pairs[arm]]) for arm in arms}
    p = {arm: float(sign_flip_p(d)) if len(d) else 1.0 for arm, d in differences.items()}
    decided = dict(zip(arms, holm(np.array([p[arm] for arm in arms])).tolist(), strict=True))
    for arm in arms:
        d, seeds = differences[arm], tuple(pairs[arm])
        there, here = (np.array([side[s] for s in seeds]) for side in (base, values[arm]))
        rows.append(
            Row(
                arm,
                seeds,
                t_interval(_array(values[arm])),
                _crossed(right, arm, tuple(values[arm])),
                difference=t_interval(d) if len(d) else None,
                difference_of_all=_crossed(right, arm, seeds, less=BASE),
                p=p[arm],
                decided=decided[arm],
                correlation=pairing(here, there),
                detects=_detects(d, len(arms)),
            )
        )
    return rows


def _crossed(right: Right | None, arm: str, seeds: tuple[int, ...], less: str | None = None) -> Interval | None:
    if not right or not seeds or any(seed not in right.get(name, {}) for name in (arm, less or arm) for seed in seeds):
        return None
    table = np.stack([right[arm][seed].astype(float) - (right[less][seed] if less else 0) for seed in seeds])
    return crossed_interval(table)


def _array(values: Mapping[int, float]) -> Float[np.ndarray, "n"]:
    return np.array(list(values.values()) or [np.nan])


def _detects(differences: Float[np.ndarray, "n"], arms: int) -> tuple[float, float, float] | None:
    effect = detectable(len(differences), arms) if len(differences) > 1 else None
    if effect is None:
        return None
    low, high = spread_interval(differences)
    return effect * float(differences.std(ddof=1)), effect * low, effect * high


def verdict(row: Row, arms: int) -> str:
    """What may be said of an arm, in words."""
    if row.p is None:
        return ""
    n = len(row.seeds)
    if least_p(n) > LEVEL / arms:
        return f"not decidable at n = {n}; needs {seeds_needed(arms)}"
    if not row.decided or row.difference is None:
        return "no difference found"
    return "higher" if row.difference.mean > 0 else "lower"


def is_percent(metric: str) -> bool:
    """Whether a metric is a fraction that is shown in percent."""
    return metric in ("top1", "top5", "ece")


def number(value: float, metric: str, sign: str = "") -> str:
    """A value of a metric as text, without its unit."""
    return f"{100 * value:{sign}.2f}" if is_percent(metric) else f"{value:{sign}.4g}"


def percent_or_number(value: float, metric: str, sign: str = "") -> str:
    """The same with its unit."""
    return f"{number(value, metric, sign)}{' %' if is_percent(metric) else ''}"


def cells(rows: Sequence[Row], metric: str) -> list[tuple[str, ...]]:
    """The rows as text, under `HEAD`; accuracies and calibration errors in percent."""

    def half(interval: Interval | None) -> str:
        if interval is None or np.isnan(interval.mean):
            return ""
        return f"± {percent_or_number(interval.half, metric) if np.isfinite(interval.half) else '?'}"

    def spread(interval: Interval | None, sign: str = "") -> str:
        if interval is None or np.isnan(interval.mean):
            return ""
        return f"{number(interval.mean, metric, sign)} {half(interval)}"

    found: list[tuple[str, ...]] = []
    for row in rows:
        detects = "" if row.detects is None else "{} ({} to {})".format(*(number(v, metric) for v in row.detects))
        found.append(
            (
                row.arm,
                str(len(row.seeds)),
                spread(row.mean),
                half(row.of_all),
                spread(row.difference, "+"),
                half(row.difference_of_all),
                "" if row.p is None else f"{row.p:.3g}",
                verdict(row, len(rows) - 1),
                "" if row.correlation is None else f"{row.correlation:.2f}",
                detects,
            )
        )
    return found


def markdown(rows: Sequence[Row], metric: str) -> str:
    """The table for a document."""
    return markdown_table(HEAD, cells(rows, metric))


def document(question: str, rows: Sequence[Row], metric: str) -> str:
    """The question, the table, and what its columns are."""
    return f"# {question}\n\n{markdown(rows, metric)}\n{note(metric)}\n"


def note(metric: str) -> str:
    """What the table's columns are."""
    more = METRICS.get(metric)
    better = "" if more is None else f" ({'more' if more else 'less'} is better)"
    return (
        f"{metric} of the test split{better}: mean ± 95 % t-interval over seeds, for this test set; "
        '"of all examples", over seeds and examples, for the distribution that they come from. '
        "Differences are paired by seed. "
        "Decided by sign flips of the pairs, two-sided, with Holm's correction over the arms at 5 %; intervals decide "
        "nothing. The last column is the difference that so many seeds find in 80 % of studies, and its range."
    )
