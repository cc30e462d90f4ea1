"""Evaluation: every example of a split exactly once, by sums and counts."""

import contextlib
import dataclasses
import functools
import math
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from cnn_jax.config import ConfigError
from cnn_jax.data import Dataset, eval_batches, prefetch
from cnn_jax.runs.console.progress import ImageProgress
from cnn_jax.runs.folder.checkpoint import CheckpointError, Checkpoints
from cnn_jax.runs.folder.metrics_file import read_test_line
from cnn_jax.runs.folder.noted import missing_best, missing_newest
from cnn_jax.runs.folder.predictions import Predictions
from cnn_jax.runs.folder.run import Run, RunError
from cnn_jax.runs.log_window import CALLS_AHEAD
from cnn_jax.runs.session import Session
from cnn_jax.training.metrics import EvalMetrics
from cnn_jax.training.state import TrainState
from cnn_jax.training.step import Predicted


@dataclasses.dataclass(frozen=True)
class Answers:
    """The logits of every example of a split once, in the order of the split."""

    index: Int[np.ndarray, "n"]
    """Which example of the split, from 0: int32."""
    label: Int[np.ndarray, "n"]
    logits: Float[np.ndarray, "n k"]
    """float32."""


def evaluate_split(
    session: Session, variables: Mapping[str, Any], dataset: Dataset
) -> tuple[dict[str, Any], Predictions]:
    """One pass over a data set.

    Returns:
      The figures: num_examples; loss (as trained), nll, brier, ece; top1, top5 and per_class (by class name) as
      fractions; the means of `train.metrics` by their names. Where the data set was prepared without files that could
      not be decoded, skipped_files: how many, over all its splits. And what the network says of every example.
    """
    metrics, rows = _one_pass(session, variables, dataset, [field.name for field in dataclasses.fields(Predictions)])
    return _figures(metrics, dataset), Predictions(**rows)


def answers(session: Session, variables: Mapping[str, Any], dataset: Dataset, *, quiet: bool = True) -> Answers:
    """What a network says of every example of a data set, in one pass of the evaluation step.

    Under every strategy, and in every process: all devices' rows are gathered.
    """
    return answers_and_figures(session, variables, dataset, quiet=quiet)[0]


def answers_and_figures(
    session: Session, variables: Mapping[str, Any], dataset: Dataset, *, quiet: bool = True
) -> tuple[Answers, dict[str, Any]]:
    """As `answers`, with the figures of `evaluate_split` of the same pass.

    Args:
      quiet: show no progress on standard error.
    """
    wanted = [field.name for field in dataclasses.fields(Answers)]
    with ImageProgress(f"evaluating {dataset.info.name}, {dataset.info.split}", len(dataset), quiet=quiet) as progress:
        metrics, rows = _one_pass(session, variables, dataset, wanted, progress.add)
    return Answers(**rows), _figures(metrics, dataset)


def _one_pass(
    session: Session,
    variables: Mapping[str, Any],
    dataset: Dataset,
    wanted: Collection[str],
    done: Callable[[int], None] = lambda _: None,
) -> tuple[EvalMetrics, dict[str, np.ndarray]]:
    """The metrics of a data set, and of what evaluation steps say of each example, what is wanted."""
    layout, batch_size = session.layout, session.eval_batch_size
    parts: list[tuple[EvalMetrics, Predicted]] = []
    batches = eval_batches(dataset, batch_size, rows=layout.rows(batch_size))
    with contextlib.closing(prefetch(batches, layout.put)) as ready:
        for batch in ready:
            metrics, predicted = session.compiled_eval_step(variables, batch)
            parts.append((metrics, {name: predicted[name] for name in {"mask", *wanted}}))
            if len(parts) > CALLS_AHEAD:  # those before are on the host, so that no device keeps a whole split's logits
                parts[-1 - CALLS_AHEAD] = jax.device_get(parts[-1 - CALLS_AHEAD])
            done(batch_size)
    found = jax.device_get(parts)
    total = functools.reduce(lambda a, b: a.merge(b), (metrics for metrics, _ in found))
    rows = [predicted for _, predicted in found]
    return total, {name: np.concatenate([part[name][part["mask"]] for part in rows]) for name in wanted}


def _figures(metrics: EvalMetrics, dataset: Dataset) -> dict[str, Any]:
    with np.errstate(invalid="ignore"):  # a class without examples divides zero by zero, and is None below
        values = jax.tree.map(lambda v: np.asarray(v).tolist(), metrics.compute())
    values |= values.pop("own", {})  # a metric of one's own called brier, say, takes the place of ours
    per_class = dict(zip(dataset.info.class_names, values.pop("per_class"), strict=False))
    left_out = {"skipped_files": len(dataset.info.skipped)} if dataset.info.skipped else {}
    return {
        "num_examples": int(metrics.top1.count),
        **left_out,
        **values,
        "per_class": {name: None if math.isnan(v) else v for name, v in per_class.items()},
    }


def load_variables(run: Run, session: Session, step: int | str) -> tuple[int, dict[str, Any]]:
    """The step meant by "latest", "best" or a number, and the variables that evaluation uses at it.

    Raises:
      CheckpointError: when there is none, or that one cannot be used; never another is taken for it.
    """
    if not run.checkpoints.is_dir():
        raise _nothing(run)
    with contextlib.closing(Checkpoints(run.checkpoints, read_only=True, identity=run.identity)) as checkpoints:
        number = saved_step(run, checkpoints, step)
        try:
            return number, _variables(checkpoints, number, session)
        except CheckpointError as error:
            others = [s for s in checkpoints.steps if s != number]
            raise type(error)(f"{error} Other steps saved: {others or 'none'}; --step takes one of them.") from error


def _variables(checkpoints: Checkpoints, step: int, session: Session) -> dict[str, Any]:
    """The variables alone, without the optimiser that made them, where nothing of its state is needed."""
    manifest = checkpoints.manifest(step)
    kept = [path for path, *_ in manifest.leaves or () if path.startswith("state.opt_state.")]
    if manifest.is_old or any(path.endswith(".b1") for path in kept):  # schedule-free optimisers keep an average
        state: TrainState = checkpoints.restore(step, session.abstract_checkpoint())["state"]
        return state.eval_variables
    names = {"params": "params", "batch_stats": "batch_stats"}
    averages = {"params": "ema", "batch_stats": "ema_batch_stats"}
    names = {kind: averages[kind] if manifest.holds(f"state.{averages[kind]}.") else kind for kind in names}
    target = {"state": {names[kind]: leaves for kind, leaves in session.abstract_variables().items()}}
    part = tuple(f"state.{name}." for name in names.values())
    found = checkpoints.restore(step, target, part=part)["state"]
    return {kind: found.get(name, {}) for kind, name in names.items()}


def _nothing(run: Run) -> CheckpointError:
    return CheckpointError(f"`{run.directory}` holds no checkpoint yet; `cnn-jax train` writes them.")


def saved_step(run: Run, checkpoints: Checkpoints, step: int | str) -> int:
    """The step meant by "latest", "best" or a number.

    Raises:
      CheckpointError: when there is none.
      ConfigError: for another word.
    """
    if not checkpoints.steps:
        raise _nothing(run)
    if step == "latest":
        present = checkpoints.steps
        latest, done = present[-1], None
        with contextlib.suppress(RunError):  # damaged metrics stand in nobody's way here
            done = read_test_line(run.directory)
        if done is not None and latest < run.derived.steps:
            warnings.warn(
                f"`{run.directory}` was trained to step {run.derived.steps}, whose checkpoint is gone; the latest that "
                f"is there is of step {latest}.",
                stacklevel=2,
            )
        elif gone := missing_newest(run.directory, present):
            warnings.warn(gone, stacklevel=2)
        return latest
    if step == "best":
        if gone := missing_best(run.directory, checkpoints.measured):
            raise CheckpointError(f"{gone} Put it back, or take another by --step; saved are {checkpoints.steps}.")
        if checkpoints.best_step is None:
            raise CheckpointError(
                f"no checkpoint of `{run.directory}` was evaluated on a validation split; use --step latest."
            )
        return checkpoints.best_step
    if not str(step).isdigit():
        raise ConfigError(f"`--step` must be latest, best or a number, got {step!r}.")
    number = int(step)
    if number not in checkpoints.steps:
        raise CheckpointError(f"step {number} of `{run.directory}` was not saved; saved are {checkpoints.steps}.")
    return number
