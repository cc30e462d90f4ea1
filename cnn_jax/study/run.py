"""The runs of a study: what is missing is trained, what is done is skipped, and one that fails stops no other.

The run folders are all that is kept: what a run is, its identity says; that somebody is at work on it, its lock. So a
study survives kills, and several processes, on this host or on others that share the folder, may run it together.
"""

import contextlib
import dataclasses
import errno
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from cnn_jax.config import Config
from cnn_jax.runs.compare import differences
from cnn_jax.runs.console.signals import Stopped, StopSignals
from cnn_jax.runs.derive import resolve_batch_norm
from cnn_jax.runs.events import Logged
from cnn_jax.runs.folder.lock import is_locked
from cnn_jax.runs.folder.metrics_file import read_test_line
from cnn_jax.runs.folder.stored import Run, RunError, is_begun, read_run
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.trainer import training_events
from cnn_jax.study.ablation import PRETRAINING, Study

POLL = 1.0  # seconds between looks at runs that others are at work on
OPEN = ("waiting", "stopped", "running")  # what is not done


@dataclasses.dataclass(frozen=True)
class Entry:
    """A run of a study."""

    arm: str
    seed: int
    config: Config
    folder: Path
    state: str
    """waiting, running, stopped, finished, stale (the folder holds another experiment), or failed."""
    why: str = ""
    """Of one that is stale or failed: a sentence."""
    progress: float = 0.0
    """Of one that is running here: the part of its steps that is done."""
    after: "Entry | None" = None
    """The run that it starts from; not its state, which `is_ready` asks for."""


def entries(study: Study, place: Path) -> list[Entry]:
    """Every run of a study, as its folder tells; what others start from before them."""
    before = [arm for arm in (PRETRAINING,) if study.pretraining]
    seeds = dict.fromkeys(seed for _, seed in study.configs)
    return [entry_of(study, place, arm, seed) for seed in seeds for arm in (*before, *study.arms)]


def entry_of(study: Study, place: Path, arm: str, seed: int) -> Entry:
    """One run of a study, as its folder tells."""
    folder = place / arm / f"seed-{seed}"
    config = study.pretraining[seed] if arm == PRETRAINING else study.configs[arm, seed]
    after = None
    if study.pretraining and config.model.weights == PRETRAINING:
        after = Entry(PRETRAINING, seed, study.pretraining[seed], place / PRETRAINING / f"seed-{seed}", "waiting")
        config = dataclasses.replace(config, model=dataclasses.replace(config.model, weights=str(after.folder)))
    return Entry(arm, seed, config, folder, *_state(folder, config), after=after)


def is_ready(entry: Entry) -> bool:
    """Whether the run that it starts from is there, or will never be, which its training then says."""
    return entry.after is None or _state(entry.after.folder, entry.after.config)[0] not in OPEN


def _state(folder: Path, config: Config) -> tuple[str, str]:
    if not is_begun(folder):
        return "waiting", ""
    config = resolve_parts(config)
    return run_state(folder, config, None if config.code is None else config.code.record())


def run_state(folder: Path, config: Config, code: dict[str, Any] | None) -> tuple[str, str]:
    """The state of a run, and a sentence where it is stale or failed.

    Args:
      config: which it should be of, all its parts complete (`resolve_parts`).
      code: what counts of one's own code in it.
    """
    if not is_begun(folder):
        return "waiting", ""
    try:
        there = read_run(folder)
        here = _as_it_would_be(there, config, code)
        if rows := differences(there, here):
            return "stale", "another experiment is there:\n" + "\n".join(rows)
        if is_locked(folder):
            return "running", ""
        if read_test_line(folder) is not None:
            return "finished", ""
    except RunError as error:
        return "failed", str(error)
    ended = there.record[-1]["ended"] if there.record else None
    return ("failed", "it diverged") if ended == "diverged" else ("stopped", "")


def _as_it_would_be(there: Run, config: Config, code: dict[str, Any] | None) -> Run:
    """The run that this configuration would be, with the data and the weights of the one that is there."""
    config = resolve_batch_norm(config, num_devices=max(1, there.environment.get("devices") or 1))
    content = dataclasses.replace(there.content, code=code)
    return dataclasses.replace(there, config=config, content=content)


class StudyStopped(Stopped):
    """A study was stopped by a signal after its runs at work had saved; running it again continues."""

    def __init__(self, number: int) -> None:
        Exception.__init__(
            self, f"stopped by {signal.Signals(number).name}; the runs at work have saved. The same command continues."
        )
        self.exit_status = 128 + number


Train = Callable[[Entry], object]
"""Trains a run, in this process; what stops it, such as a signal, is not caught here."""

Watch = Callable[[Entry], None]
"""Is told of a run as it begins, as it goes on, and as it ends."""


def train_watched(entry: Entry, watch: Watch) -> None:
    """Trains a run, and tells how far it is."""
    watch(dataclasses.replace(entry, state="running"))
    steps = 0
    with contextlib.closing(training_events(entry.config, entry.folder)) as events:
        for event in events:
            if isinstance(event, Logged) and event.split == "train":
                steps = steps or read_run(entry.folder).derived.steps
                watch(dataclasses.replace(entry, state="running", progress=event.step / steps))


def run_study(study: Study, place: Path, train: Train) -> Generator[Entry, None, None]:
    """Trains what is missing, one after the other, and waits for what others are at work on; gives each as it ends.

    Raises:
      Stopped: on a signal, by the run at work; or between two, and at the end of one that had nothing left to save.
    """
    left = [entry for entry in entries(study, place) if entry.state in OPEN]
    with StopSignals() as stop:
        while left:
            taken = []  # by other processes, or waiting for one that is
            for entry in left:
                if not is_ready(entry):
                    taken.append(entry)
                    continue
                ended = attempt(entry, train)
                if ended.state == "running":
                    taken.append(entry)
                else:
                    yield ended
                if stop.requested:
                    raise StudyStopped(stop.requested)
            left = taken
            if left:
                time.sleep(POLL)
            if stop.requested:
                raise StudyStopped(stop.requested)


def attempt(entry: Entry, train: Train) -> Entry:
    """Trains one run, unless it was done meanwhile, and says how it ended; "running": by another process.

    Raises:
      OSError: where the disk is full, which no other run would get past either.
    """
    state, why = _state(entry.folder, entry.config)  # others may have been at work on it meanwhile
    if state in OPEN and is_locked(entry.folder):
        state = "running"
    elif state in OPEN:
        try:
            train(entry)
            state = "finished"
        except (ValueError, OSError, RuntimeError) as error:
            if isinstance(error, RunError) and is_locked(entry.folder):
                state = "running"  # another process was first
            elif _is_full(error):
                text = f"the disk of `{entry.folder}` is full. Make room, and give the same command again: it goes on."
                raise OSError(errno.ENOSPC, text) from error
            else:
                state, why = "failed", str(error)
    return dataclasses.replace(entry, state=state, why=why)


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk, or a full quota, is behind an error."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
