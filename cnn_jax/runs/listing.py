"""Runs side by side: what tells them apart, how far they are, what came out; from their small files, without JAX."""

import operator
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnn_jax import config as configuration
from cnn_jax.runs.folder.lock import is_locked
from cnn_jax.runs.folder.metrics_file import read_metrics
from cnn_jax.runs.folder.stored import Run, RunError, read_run

_FILES = ("config.json", "metrics.jsonl", "checkpoints")  # a folder that holds one of them is a run's, or was
_UNKNOWN = ("identity", "step", "steps", "seconds", "seed", "validation_top1", "test_top1")


def list_runs(*folders: Path | str) -> list[dict[str, Any]]:
    """The runs in and below folders, by name.

    Args:
      folders: run folders, or folders of them; none is `runs`.

    Returns:
      For each run: `run` (its folder), `identity`, `state`, `step` (the last one saved, or reported by a run that is
      running) of `steps`, `seconds` (of all its starts together), `seed`, `validation_top1` (the newest) and
      `test_top1` (of the finished run) as fractions, and `differs`: those of its keys, and of the digests of its code,
      data and weights, whose values are not equal in all runs listed. What is not known is None.

      The state is "running" (a process of this host writes there), "finished", "diverged", "stopped" (on request, by a
      kill or a failure; the training command continues it), or "unreadable", with the cause as `reason`.

    Raises:
      RunError: for a folder that does not exist.
    """
    places = [Path(folder) for folder in folders] or [Path("runs")]
    for place in places:
        if not place.is_dir():
            raise RunError(f"there is no folder `{place}`; name run folders, or folders that hold some.")
    seen: set[tuple[int, int]] = set()
    found = [path for place in places for path in _find(place, seen)]
    rows = [_describe(path) for path in sorted(found)]
    _keep_differences([row["differs"] for row in rows if row["state"] != "unreadable"])
    return rows


def _find(place: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """The run folders in and below a folder, each once, whatever links lead to it; hidden folders are unfinished."""
    try:
        with os.scandir(place) as entries:
            inside = {entry.name: entry.is_dir() for entry in entries}
        state = place.stat()
    except OSError:
        yield place  # says why when it is read
        return
    if (state.st_dev, state.st_ino) in seen:
        return
    seen.add((state.st_dev, state.st_ino))
    if any(name in inside for name in _FILES):
        yield place
        return
    for name, is_folder in sorted(inside.items()):
        if is_folder and not name.startswith("."):
            yield from _find(place / name, seen)


def _describe(directory: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"run": str(directory), "state": "unreadable", **dict.fromkeys(_UNKNOWN), "differs": {}}
    try:
        run, lines = read_run(directory), read_metrics(directory)
        tests = [line for line in lines if line["split"] == "test"]
        validations = [line for line in lines if line["split"] == "validation"]
        noted = [operator.index(entry["last_step"]) for entry in run.record]
        # A save that a kill cut off was noted when it began.
        steps = [int(p.name) for p in run.checkpoints.glob("*") if p.name.isdecimal()] or noted
        state = _state(run, bool(tests))
        if state == "running":
            steps += [line["step"] for line in lines]
        return {
            "run": str(directory),
            "identity": run.identity,
            "state": state,
            "step": max(steps, default=0),
            "steps": run.derived.steps,
            "seconds": round(sum(run.seconds.values()), 1) if run.record else None,
            "seed": run.config.seed,
            "validation_top1": validations[-1].get("top1") if validations else None,
            "test_top1": tests[-1].get("top1") if tests else None,
            "differs": configuration.flatten(run.config) | run.content.flat(),
        }
    except RunError as error:
        return row | {"reason": str(error)}
    except OSError as error:
        return row | {"reason": f"`{error.filename or directory}`: {error.strerror or error}."}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return row | {"reason": f"`{directory / 'config.json'}` has a record that cannot be read: {error!r}."}


def _state(run: Run, tested: bool) -> str:
    if is_locked(run.directory):
        return "running"
    ended = run.record[-1]["ended"] if run.record else None
    if tested or ended == "finished":
        return "finished"
    return "diverged" if ended == "diverged" else "stopped"


def _keep_differences(settings: list[dict[str, Any]]) -> None:
    """Leaves of each run's keys those whose values are not equal in all runs; a digest that a run lacks is None."""
    for key in dict.fromkeys(key for flat in settings for key in flat):
        values = [flat.get(key) for flat in settings]
        equal = all(value == values[0] for value in values)
        for flat in settings:
            if equal:
                flat.pop(key, None)
            else:
                flat.setdefault(key, None)
