"""A search for values, from coarse to fine: a base, the range of each key, and how many trials look into it."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cnn_jax.config import Config, ConfigError, executed, flatten, from_flat
from cnn_jax.runs.checks import check
from cnn_jax.study.ablation import METRICS

NARROW = 4  # a round's ranges are that part of those of the round before, in orders of magnitude: untuned


@dataclass(frozen=True)
class Range:
    """Values from `low` to `high`, all orders of magnitude alike."""

    low: float
    high: float

    def around(self, value: float, parts: int) -> "Range":
        """One of so many parts of this range, in orders of magnitude, with a value in its middle; it never leaves this.

        Example:
          >>> log_range(1, 16).around(4.0, 2)
          Range(low=2.0, high=8.0)
        """
        half = (self.high / self.low) ** (0.5 / parts)
        return Range(max(self.low, value / half), min(self.high, value * half))


def log_range(low: float, high: float) -> Range:
    """The range of a key that is searched by orders of magnitude, as a learning rate is."""
    return Range(float(low), float(high))


@dataclass(frozen=True)
class Search:
    """What `search()` in an experiment file returns.

    Example:
      def search():
          base = Config(model=ModelConfig("lenet5"), data=DataConfig("digits"), train=TrainConfig(epochs=20))
          return Search(base, {"optim.learning_rate": log_range(1e-3, 10), "optim.weight_decay": log_range(1e-6, 1e-2)})
    """

    base: Config
    """Its seed is that of every trial, and of the values that are drawn."""
    space: Mapping[str, Range]
    """By key, as "optim.learning_rate"."""
    trials: int = 8
    """Runs of each round."""
    rounds: int = 2
    """Each looks into a quarter of the range before, in orders of magnitude, around the best value so far."""
    sampler: Literal["random", "tpe"] = "random"
    """random; or tpe, which draws the second half of a round where the first was good (Bergstra et al. 2011)."""
    metric: str = "loss"
    """The one that decides, of the validation split, after the last step."""

    @property
    def more_is_better(self) -> bool:
        """Whether the best trial is the one with the highest value."""
        return METRICS[self.metric]


@dataclass(frozen=True)
class SearchPlan:
    """A search of a file, made ready: a configuration for any values."""

    name: str
    search: Search
    """Its base is complete."""

    def trial(self, values: Mapping[str, float]) -> Config:
        """The run that measures values; it never looks at the test split."""
        found = self.found(values)
        return dataclasses.replace(found, train=dataclasses.replace(found.train, test="never"))

    def found(self, values: Mapping[str, float]) -> Config:
        """The base with values in it."""
        base = self.search.base
        return dataclasses.replace(from_flat(flatten(base) | dict(values), self.name), code=base.code)

    def space(self, number: int, best: Mapping[str, float]) -> dict[str, Range]:
        """The ranges of a round, the first of which is 1.

        Args:
          best: the best values so far; not asked for in the first round.
        """
        space = self.search.space
        parts = NARROW ** (number - 1)
        return {key: span.around(best[key], parts) if number > 1 else span for key, span in space.items()}


def load_search(path: Path | str) -> SearchPlan:
    """Runs an experiment file, and completes what its `search()` returns.

    Raises:
      ConfigError: as `load_experiment`; for an unknown key, an empty range, a metric that there is not, or where there
        is nothing to select on.
    """
    with executed(path) as file:
        search = file.call("search", Search)
        plan = SearchPlan(file.path.stem, dataclasses.replace(search, base=file.complete(search.base)))
    try:
        _check(plan)
    except ConfigError as error:
        raise ConfigError(f"the search of `{file.path}`: {error}") from error
    return plan


def _check(plan: SearchPlan) -> None:
    search, space = plan.search, plan.search.space
    for key, span in space.items():
        if not isinstance(span, Range):
            raise ConfigError(f"`{key}` is {span!r}; give a range, as cnn_jax.log_range(0.001, 10).")
        if not 0 < span.low < span.high < math.inf:
            raise ConfigError(
                f"`{key}` from {span.low:g} to {span.high:g}: a range of orders of magnitude begins above zero and "
                "ends higher."
            )
    for wrong, sentence in (
        (not space, "there is nothing to search; name a key and its range"),
        (search.metric not in METRICS, f"`metric` is {search.metric!r}; it is one of {', '.join(METRICS)}"),
        (
            search.base.data.validation_fraction == 0,
            "`data.validation_fraction` is 0, so there is no validation split to select on; leave it out",
        ),
        (search.sampler not in ("random", "tpe"), f"`sampler` is {search.sampler!r}; it is random or tpe"),
        *(
            (type(number) is not int or number < 1, f"`{name}` is {number!r}; it must be a number from 1 on")
            for name, number in (("trials", search.trials), ("rounds", search.rounds))
        ),
    ):
        if wrong:
            raise ConfigError(f"{sentence}.")
    for values in ({key: span.low for key, span in space.items()}, {key: span.high for key, span in space.items()}):
        check(plan.trial(values), num_devices=1)
