"""The runs of a study: what is missing is trained, what is done is skipped, and one that fails stops no other.

The run folders are all that is kept: what a run is, its identity says; that somebody is at work on it, its lock. So a
study survives kills, and several processes, on this host or on others that share the folder, may run it together.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cnn_jax.config import Config
from cnn_jax.runs.compare import differences
from cnn_jax.runs.derive import resolve_batch_norm
from cnn_jax.runs.folder.lock import is_locked
from cnn_jax.runs.folder.metrics_file import read_test_line
from cnn_jax.runs.folder.stored import Run, RunError, is_begun, read_run
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.study.ablation import Study

_POLL = 1.0  # seconds between looks at runs that others are at work on
_OPEN = ("waiting", "stopped", "running")  # what is not done


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


def entries(study: Study, place: Path) -> list[Entry]:
    """Every run of a study, as its folder tells."""
    found = []
    for (arm, seed), config in study.configs.items():
        folder = place / arm / f"seed-{seed}"
        found.append(Entry(arm, seed, config, folder, *_state(folder, config)))
    return found


def _state(folder: Path, config: Config) -> tuple[str, str]:
    if not is_begun(folder):
        return "waiting", ""
    try:
        there = read_run(folder)
        here = _as_it_would_be(there, config)
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


def _as_it_would_be(there: Run, config: Config) -> Run:
    """The run that this configuration would be, with the data and the weights of the one that is there."""
    config = resolve_batch_norm(resolve_parts(config), num_devices=max(1, there.environment.get("devices") or 1))
    content = dataclasses.replace(there.content, code=None if config.code is None else config.code.record())
    return dataclasses.replace(there, config=config, content=content)


def run_study(study: Study, place: Path, train: Callable[[Config, Path], object]) -> Iterator[Entry]:
    """Trains what is missing, and waits for what others are at work on; gives each run as it ends.

    Args:
      train: one run, in this process; what stops it, such as a signal, is not caught here.
    """
    left = [entry for entry in entries(study, place) if entry.state in _OPEN]
    while left:
        taken = []  # by other processes
        for entry in left:
            state, _ = _state(entry.folder, entry.config)  # others may have been at work on it meanwhile
            if state == "running" or is_locked(entry.folder):
                taken.append(entry)
            elif state in _OPEN:
                try:
                    train(entry.config, entry.folder)
                except (ValueError, OSError, RuntimeError) as error:
                    if isinstance(error, RunError) and is_locked(entry.folder):
                        taken.append(entry)  # another process was first
                    else:
                        yield dataclasses.replace(entry, state="failed", why=str(error))
                else:
                    yield dataclasses.replace(entry, state="finished")
        left = taken
        if left:
            time.sleep(_POLL)
