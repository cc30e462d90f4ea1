"""A search from its file to the experiment that it found: round after round, each narrower than the one before.

Optuna draws the values and keeps them, with what they gave, in a journal that several processes share. A trial is an
ordinary run folder: that somebody is at work on it, its lock says, so one whose process died is continued by another.
"""

import contextlib
import dataclasses
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnn_jax.config import ConfigError, difference, flatten
from cnn_jax.data.store.lock_file import lock, open_lock
from cnn_jax.paths import local_path
from cnn_jax.runs.console.signals import StopSignals
from cnn_jax.runs.folder.files import write_atomically
from cnn_jax.runs.folder.lock import is_locked
from cnn_jax.runs.folder.metrics_file import read_metrics
from cnn_jax.runs.folder.stored import RunError
from cnn_jax.runs.loop import DivergedError
from cnn_jax.runs.trainer import training_events
from cnn_jax.study.found import Round, Trial, best_of, draw_round, write_found
from cnn_jax.study.run import StudyStopped
from cnn_jax.study.search import Range, SearchPlan, load_search

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_POLL = 1.0  # seconds between looks at trials that others are at work on


@dataclass(frozen=True)
class Tuned:
    """What `tune` returns.

    Attributes:
      folder: of the search.
      file: the experiment with the best values in it, for `cnn-jax train`.
      metric: of the validation split, by which was selected.
      best: the trial that gave them.
    """

    folder: Path
    file: Path
    metric: str
    rounds: tuple[Round, ...]
    best: Trial


def tune(
    file: Path | str, workdir: Path | str | None = None, *, report: Callable[[Trial], None] = lambda trial: None
) -> Tuned:
    """Searches for the values that are best on the validation split, from a wide range to a narrow one around the best.

    A search that is stopped goes on where it stood, and several of these may work on one folder. Alone, equal searches
    give equal values. In `WORKDIR` lie `best.py`, the experiment with the values filled in; `search.md`, the record; a
    picture of every round; and the trials, `round-N/trial-N`.

    Args:
      file: an experiment file with `search()`.
      workdir: None is `tuning/` with the file's name.
      report: is called at the end of each trial.

    Raises:
      ConfigError: for a search that makes no sense, naming what is wrong; where the folder holds another one; where all
        trials of a round diverged.
      RuntimeError: where Optuna is not installed.
      Stopped: as `train`.
    """
    try:
        import optuna
    except ImportError as error:
        raise RuntimeError("tune needs optuna; install it with `pip install 'cnn-jax[tune]'`.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it tells of every study that is made in memory
    plan = load_search(file)
    place = Path("tuning") / plan.name if workdir is None else local_path(workdir, "--workdir")
    with StopSignals() as stop:
        return _search(plan, place, report, stop)


def _search(plan: SearchPlan, place: Path, report: Callable[[Trial], None], stop: StopSignals) -> Tuned:
    place.mkdir(parents=True, exist_ok=True)
    rounds: list[Round] = []
    for number in range(1, plan.search.rounds + 1):
        space = plan.space(number, best_of(plan, rounds).values if rounds else {})
        rounds.append(_Journal(plan, place, number, space).run(report, stop))
        if not math.isfinite(best_of(plan, rounds).measured):
            raise ConfigError(f"all trials in `{place}` diverged, so that none is the best: search lower values.")
        with _alone(place):
            draw_round(plan, place, rounds)
    with _alone(place):
        return Tuned(place, write_found(plan, place, rounds), plan.search.metric, tuple(rounds), best_of(plan, rounds))


class _Journal:
    """One round in Optuna's journal."""

    def __init__(self, plan: SearchPlan, place: Path, number: int, space: Mapping[str, Range]) -> None:
        from optuna import create_study
        from optuna.distributions import FloatDistribution
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        self._plan, self._place, self._number, self._space = plan, place, number, space
        self._kinds: dict[str, BaseDistribution] = {
            key: FloatDistribution(span.low, span.high, log=True) for key, span in space.items()
        }
        self._direction: Literal["maximize", "minimize"] = "maximize" if plan.search.more_is_better else "minimize"
        path = place / "journal.log"
        with _alone(place):
            _cut_to_lines(path)
            storage = JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path))))
            name = f"round-{number}"
            self._study = create_study(study_name=name, storage=storage, direction=self._direction, load_if_exists=True)
            self._check_same()

    def _check_same(self) -> None:
        """Raises ConfigError where the journal is of another search than this."""
        search, there = self._plan.search, self._study.user_attrs.get("search")
        here = flatten(search.base, identity_only=True) | {
            "own code": None if search.base.code is None else search.base.code.digest,
            **{f"space of {key}": dataclasses.astuple(span) for key, span in self._space.items()},
            **{key: getattr(search, key) for key in ("trials", "sampler", "metric")},
        }
        here = json.loads(json.dumps(here))
        if there is None:
            self._study.set_user_attr("search", here)
        elif rows := difference(there, here):
            listed = "\n".join(f"  {key}: {old} there, {new} now" for key, (old, new) in rows.items())
            raise ConfigError(f"`{self._place}` holds another search; give another --workdir.\n{listed}")

    def run(self, report: Callable[[Trial], None], stop: StopSignals) -> Round:
        """Trains what is missing of the round, and waits for what others are at work on."""
        while True:
            if stop.requested:
                raise StudyStopped(stop.requested)
            with _alone(self._place):
                trial = self._choose()
            if trial is None:
                found = self._study.get_trials()
                if all(one.state.is_finished() for one in found):
                    return Round(self._number, self._space, tuple(map(self._trial, found)))
                time.sleep(_POLL)
                continue
            try:
                value = _measure(self._plan, trial)
            except RunError:
                if is_locked(trial.folder):
                    continue  # another process was first
                raise
            with _alone(self._place):
                self._study.tell(trial.number, value, skip_if_finished=True)
            report(dataclasses.replace(trial, measured=value))

    def _choose(self) -> Trial | None:
        """A trial that nobody is at work on though it is not finished, else a new one; None where there is neither."""
        from optuna.trial import TrialState, create_trial

        found = self._study.get_trials()
        for one in found:
            if not one.state.is_finished() and not is_locked(self._trial(one).folder):
                return self._trial(one)
        if len(found) == self._plan.search.trials:
            return None
        values = self._draw(found)
        self._study.add_trial(create_trial(state=TrialState.RUNNING, params=values, distributions=self._kinds))
        return self._trial(self._study.get_trials()[-1])

    def _draw(self, before: "list[FrozenTrial]") -> dict[str, float]:
        """The values of the next trial: a function of the seed, the round, its number, and the trials before it."""
        from optuna import create_study
        from optuna.samplers import BaseSampler, RandomSampler, TPESampler

        search = self._plan.search
        address = np.random.SeedSequence([search.base.seed, self._number, len(before)])
        seed = int(address.generate_state(1)[0])
        sampler: BaseSampler = RandomSampler(seed)
        if search.sampler == "tpe":
            sampler = TPESampler(seed=seed, n_startup_trials=(search.trials + 1) // 2)
        study = create_study(sampler=sampler, direction=self._direction)
        study.add_trials(before)
        drawn = study.ask(self._kinds).params
        # Three digits, so that a value can be read, and said.
        return {key: min(max(float(f"{drawn[key]:.3g}"), span.low), span.high) for key, span in self._space.items()}

    def _trial(self, found: "FrozenTrial") -> Trial:
        folder = self._place / f"round-{self._number}" / f"trial-{found.number}"
        return Trial(self._number, found.number, found.params, folder, math.nan if found.value is None else found.value)


def _measure(plan: SearchPlan, trial: Trial) -> float:
    """What a trial gives; one that diverges, or is measured as no number, is infinitely bad."""
    worst = -math.inf if plan.search.more_is_better else math.inf
    try:
        deque(training_events(plan.trial(trial.values), trial.folder), maxlen=0)
    except DivergedError:
        return worst
    last = [line for line in read_metrics(trial.folder) if line["split"] == "validation"][-1]
    value = last[plan.search.metric]
    return worst if value is None or not math.isfinite(value) else float(value)


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    """A context in which no other process of this search chooses a trial, or writes beside them."""
    descriptor = open_lock(place / ".lock")
    if descriptor is None:
        raise RunError(f"`{place}` cannot be written to; give another --workdir.")
    try:
        lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


def _cut_to_lines(journal: Path) -> None:
    """Removes a last line that a full disk cut short: what Optuna would write behind it could not be read."""
    content = journal.read_bytes() if journal.exists() else b""
    if not content.endswith(b"\n") and content:
        write_atomically(journal, content[: content.rfind(b"\n") + 1])
