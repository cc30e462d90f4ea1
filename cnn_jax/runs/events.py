"""What happens in a training, as those who watch it are told."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnn_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Result:
    """What a finished training returns."""

    run: Path
    step: int
    test: dict[str, Any] | None
    """The test split's evaluation: num_examples, loss, nll, brier, ece, top1, top5, per_class. None where
    `train.test` is never, or there is no such split."""


@dataclasses.dataclass(frozen=True)
class Logged:
    """A line of `metrics.jsonl` was written."""

    step: int
    split: str
    values: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Saved:
    """A checkpoint was begun."""

    step: int
    state: Callable[[], TrainState] = dataclasses.field(repr=False)
    """Copies the state to the host; to be called before the next event is asked for."""


@dataclasses.dataclass(frozen=True)
class Finished:
    """All steps are done."""

    result: Result


Event = Logged | Saved | Finished
