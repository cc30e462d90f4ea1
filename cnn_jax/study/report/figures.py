"""The numbers of a report: rows of the table, learning curves over the seeds, single test examples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from cnn_jax.inspect.calibration import Reliability, reliability
from cnn_jax.inspect.confusions import confusion as of_pairs
from cnn_jax.inspect.mistakes import surest_mistakes as of_rows
from cnn_jax.runs.folder.predictions import Predictions
from cnn_jax.runs.folder.stored import RunError
from cnn_jax.study.ablation import BASE
from cnn_jax.study.predicted import Predicted, read_predicted, right
from cnn_jax.study.report.subject import ArmRun, Subject
from cnn_jax.study.table import Row, compare


def rows(subject: Subject, predicted: Predicted) -> list[Row]:
    """The rows of the table; none before all runs are done.

    Args:
      predicted: of these runs.

    Raises:
      RunError: where a run does not hold the metric.
    """
    if not subject.is_done:
        return []
    values = {arm: subject.values(arm) for arm in subject.arms}
    if not values[subject.base]:
        return []

    def named[T](by_arm: Mapping[str, T]) -> dict[str, T]:
        return {BASE if arm == subject.base else arm: found for arm, found in by_arm.items()}

    found = compare(named(values), right(named(predicted), subject.metric))
    return [replace(row, arm=subject.base) if row.arm == BASE else row for row in found]


def with_interval(rows: Sequence[Row]) -> list[Row]:
    """The arms whose difference to the base has an interval: two seeds give one."""
    return [row for row in rows if row.difference is not None and np.isfinite(row.difference.half)]


@dataclass(frozen=True)
class Point:
    """Of a learning curve, over the seeds."""

    step: int
    epoch: float
    mean: float
    low: float
    high: float
    """The least and the greatest value of a seed."""


def curve(runs: Sequence[ArmRun], split: str, metric: str) -> list[Point]:
    """What the runs of an arm logged of a metric, at the steps that all have reached that logged it at all."""
    by_run = [
        {line["step"]: line[metric] for line in run.lines if line["split"] == split and _is_number(line.get(metric))}
        for run in runs
    ]
    by_run = [values for values in by_run if values]
    steps_per_epoch = next((run.run.derived.steps_per_epoch for run in runs if run.run), 1.0)
    found = []
    for step in sorted(set.intersection(*map(set, by_run))) if by_run else []:
        values = [of_step[step] for of_step in by_run]
        mean = sum(values) / len(values)
        found.append(Point(step, step / steps_per_epoch, mean, min(values), max(values)))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def predictions(subject: Subject) -> Predicted:
    """What the finished runs say of every test example; nothing before all are done, or where a run kept none.

    Raises:
      RunError: where they are of classes that there are not.
      ConfigError: where the runs have met different examples.
    """
    if not subject.is_done:
        return {}
    done = {(arm, run.seed): run for arm, runs in subject.arms.items() for run in runs if run.test and run.run}
    found = read_predicted({key: run.folder for key, run in done.items()})
    if sum(map(len, found.values())) < len(done) or subject.base not in found:
        return {}
    for (arm, seed), run in done.items():
        numbers = np.concatenate([found[arm][seed].classes.ravel(), found[arm][seed].label])
        if run.run and numbers.size and not 0 <= numbers.min() <= numbers.max() < run.run.derived.num_classes:
            raise RunError(f"the predictions of `{run.folder}` name classes that its data set does not have.")
    return found


def confusion(found: Mapping[int, Predictions], classes: int) -> Int[np.ndarray, "k k"]:
    """How often an example of a class (row) is taken for a class (column), over all seeds."""
    labels = np.concatenate([p.label for p in found.values()])
    return of_pairs(labels, np.concatenate([p.classes[:, 0] for p in found.values()]), classes)


def share_right(found: Mapping[int, Predictions]) -> Float[np.ndarray, "n"]:
    """The part of the seeds that classify each example rightly."""
    return np.mean([p.correct for p in found.values()], axis=0)


def told_apart(
    base: Mapping[int, Predictions], arm: Mapping[int, Predictions], most: int
) -> tuple[list[int], list[int]]:
    """The examples that the base gets right in more seeds than the arm, and the reverse, the clearest first."""
    gain = share_right(arm) - share_right(base)
    order = np.argsort(gain, kind="stable")
    worse = [int(i) for i in order[:most] if gain[i] < 0]
    better = [int(i) for i in order[::-1][:most] if gain[i] > 0]
    return worse, better


def surest_mistakes(found: Mapping[int, Predictions], most: int) -> list[int]:
    """The examples whose wrong class has the highest probability, in the mean over seeds."""
    sure = np.stack([p.probabilities[:, 0] for p in found.values()])
    return [int(i) for i in of_rows(sure, np.stack([p.correct for p in found.values()]), most)]


def calibration(found: Mapping[int, Predictions]) -> Reliability:
    """Accuracy by confidence, over all seeds."""
    sure = np.concatenate([p.probabilities[:, 0] for p in found.values()])
    return reliability(sure, np.concatenate([p.correct for p in found.values()]))
