"""What is left to do of a study: steps, and the time that they take by what its runs took so far."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean

from cnn_jax.config import Config
from cnn_jax.runs.derive import derive
from cnn_jax.runs.folder.stored import read_run
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.splits import load_training, parse_chains
from cnn_jax.study.run import OPEN, Entry


@dataclass(frozen=True)
class Plan:
    """Of the runs that are not done.

    Attributes:
      steps: of all of them; those that a stopped run has done already count as well.
      seconds: as long as finished runs of the same arm took, or as its steps take in other arms; None before the first.
    """

    runs: int
    steps: int
    seconds: float | None


def plan(runs: Iterable[Entry], jobs: int) -> Plan:
    """Looks at the folders of what is done, and at the data of what is not.

    Raises:
      DataError: when the data of a run are not prepared.
    """
    runs = list(runs)
    left = [run for run in runs if run.state in OPEN]
    steps_of = {run.arm: _steps(run.config) for run in {run.arm: run for run in left}.values()}
    took: dict[str, list[float]] = {}
    rates = []
    for run in runs:
        if run.state == "finished":
            there = read_run(run.folder)
            seconds = sum(there.seconds.values())
            took.setdefault(run.arm, []).append(seconds)
            rates.append(seconds / there.derived.steps)
    steps = sum(steps_of[run.arm] for run in left)
    if not rates:
        return Plan(len(left), steps, None)
    each = [mean(took[run.arm]) if run.arm in took else mean(rates) * steps_of[run.arm] for run in left]
    return Plan(len(left), steps, sum(each) / jobs)


def _steps(config: Config) -> int:
    config = resolve_parts(config)
    info = load_training(config, parse_chains(config)[1]).info
    return derive(config, num_examples=info.num_examples, num_classes=info.num_classes, num_devices=1).steps
