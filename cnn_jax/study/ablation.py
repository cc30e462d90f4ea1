"""An ablation: one question, a base and named arms that differ from it, and the seeds that they share."""

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnn_jax.config import (
    Config,
    ConfigError,
    ExperimentFile,
    executed,
    flatten,
    from_flat,
    identity,
    without_arguments,
)
from cnn_jax.study.statistics import seeds_needed

BASE = "base"
PRETRAINING = "pretraining"

Arm = Mapping[str, Any] | Callable[..., Config]
"""Values by key, `{"optim.learning_rate": 0.1}`; or a function of the base, and of the seed where it takes one."""

# What every test line holds, and whether more of it is better.
METRICS = {"top1": True, "top5": True, "loss": False, "nll": False, "ece": False}


@dataclass(frozen=True)
class Ablation:
    """What `ablation()` in an experiment file returns.

    Example:
      def ablation():
          base = Config(model=ModelConfig("lenet5"), data=DataConfig("digits"), train=TrainConfig(epochs=20))
          return Ablation(
              "Does ReLU help LeNet-5?", base, {"relu": {"model.options.activation": "relu"}}, seeds=range(9)
          )
    """

    question: str
    base: Config
    arms: Mapping[str, Arm]
    """By name; the base is one more arm, called "base"."""
    seeds: Sequence[int] = tuple(range(9))
    """Each is the `seed` of one run of every arm, so that an arm and the base are paired."""
    metric: str = "top1"
    """The one that decides, of the test split, named before the runs."""
    pretraining: Config | None = None
    """What is trained first, once a seed: an arm whose `model.weights` is "pretraining" starts from the run of its
    seed. It is no arm, and may be of another data set."""


def grid(values: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """An arm for every combination of values.

    Example:
      >>> list(grid({"optim.learning_rate": [0.1, 0.2], "train.epochs": [5]}))
      ['learning_rate=0.1, epochs=5', 'learning_rate=0.2, epochs=5']
    """
    found = {}
    for combination in itertools.product(*values.values()):
        arm = dict(zip(values, combination, strict=True))
        found[", ".join(f"{key.rpartition('.')[2]}={_shown(value)}" for key, value in arm.items())] = arm
    return found


def _shown(value: Any) -> str:
    return str(getattr(value, "__name__", value)).replace("/", "_")


@dataclass(frozen=True)
class Study:
    """An ablation of a file, made ready: a configuration for every run."""

    name: str
    ablation: Ablation
    configs: Mapping[tuple[str, int], Config]
    """By arm and seed, the base first; seed by seed, so that a study that ends early has whole seeds."""
    pretraining: Mapping[int, Config]
    """By seed; empty where there is none."""

    @property
    def arms(self) -> list[str]:
        """The base, and the others."""
        return list(dict.fromkeys(arm for arm, _ in self.configs))


def load_study(path: Path | str) -> Study:
    """Runs an experiment file, and completes what its `ablation()` returns.

    Raises:
      ConfigError: as `load_experiment`; for an unknown key in an arm, arms that are the same experiment, one seed, or
        a metric that there is not.
    """
    with executed(path) as file:
        ablation = file.call("ablation", Ablation)
        base = file.complete(ablation.base)
        _check(ablation)
        arms = {BASE: {}, **ablation.arms}
        configs = {
            (name, seed): file.complete(replace(_config(file, base, name, arm, seed), seed=seed))
            for seed in ablation.seeds
            for name, arm in arms.items()
        }
        first = ablation.pretraining
        trained = {} if first is None else {s: file.complete(replace(first, seed=s)) for s in ablation.seeds}
    for (arm, _), config in configs.items():
        _check_comparable(arm, config, base, ablation.metric)
    _check_different(configs, ablation.seeds[0])
    if trained and not any(config.model.weights == PRETRAINING for config in configs.values()):
        raise ConfigError(f"the ablation {ablation.question!r}: no arm starts from its `pretraining`; leave it out.")
    return Study(file.path.stem, ablation, configs, trained)


def _config(file: ExperimentFile, base: Config, name: str, arm: Arm, seed: int) -> Config:
    if callable(arm):
        takes_seed = len(inspect.signature(arm).parameters) > 1
        made = file.guarded(arm, base, seed) if takes_seed else file.guarded(arm, base)
        if not isinstance(made, Config):
            raise ConfigError(f"the arm {name!r} of `{file.path}` must return a Config, got {type(made).__name__}.")
        return made
    flat = flatten(without_arguments(base, arm.get("model.name"), arm.get("optim.name")))
    try:
        return from_flat(flat | dict(arm), file.path.name)
    except ConfigError as error:
        raise ConfigError(f"the arm {name!r}: {error}") from error


def _check(ablation: Ablation) -> None:
    seeds = list(ablation.seeds)
    for wrong, sentence in (
        (not ablation.arms, "there is no arm beside the base, so nothing to compare; add one"),
        (BASE in ablation.arms, f"an arm is called {BASE!r}, which is the base itself; name it otherwise"),
        (PRETRAINING in ablation.arms, f"an arm is called {PRETRAINING!r}, as what arms start from; name it otherwise"),
        (any("/" in name or not name or name.startswith(".") for name in ablation.arms), "an arm's name is a folder's"),
        (
            len(seeds) < 2,
            f"{len(seeds)} seed: two show a spread, and {seeds_needed(max(1, len(ablation.arms)))} can decide",
        ),
        (len(set(seeds)) < len(seeds), f"the seeds {seeds} are not all different"),
    ):
        if wrong:
            raise ConfigError(f"the ablation {ablation.question!r}: {sentence}.")


def _check_comparable(arm: str, config: Config, base: Config, metric: str) -> None:
    """Every arm logs the metric, of the base's test examples."""
    known = [*METRICS, *(str(text).partition("(")[0].rpartition(":")[2] for text in config.train.metrics)]
    if metric not in known:
        raise ConfigError(f"the arm {arm!r}: `metric` is {metric!r}; its runs log {', '.join(known)}.")
    if config.train.test != "end":
        raise ConfigError(f"the arm {arm!r}: `train.test` is never, and a study compares test figures; leave it out.")
    for key in ("name", "folder"):
        here, there = getattr(config.data, key), getattr(base.data, key)
        if here != there:
            raise ConfigError(
                f"the arm {arm!r} has `data.{key}` {here}, and the base {there}: their test examples differ, so they "
                "cannot be compared seed by seed; give both the same, or make two studies of it."
            )


def _check_different(configs: Mapping[tuple[str, int], Config], seed: int) -> None:
    """Arms that are one experiment would be one run twice."""
    seen: dict[str, str] = {}
    for (arm, of), config in configs.items():
        if of != seed:
            continue
        name = identity(config, code=config.code.digest if config.code else None)
        if name in seen:
            raise ConfigError(f"the arms {seen[name]!r} and {arm!r} are the same experiment; leave one out.")
        seen[name] = arm
