"""Whether a run can be repeated: from one checkpoint to the next again, and the bits compared."""

import contextlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.config import ConfigError
from cnn_jax.runs.calls import Calls
from cnn_jax.runs.compare import check_data
from cnn_jax.runs.console.progress import TrainProgress
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.folder.checksum import checksum
from cnn_jax.runs.folder.manifest import leaves_of
from cnn_jax.runs.folder.own_code import with_code
from cnn_jax.runs.folder.run import RunError, read_run
from cnn_jax.runs.machine.environment import environment, environment_changes
from cnn_jax.runs.machine.settings import precision
from cnn_jax.runs.session import open_session
from cnn_jax.runs.start.continuing import inherited
from cnn_jax.runs.start.initial_state import initial_state
from cnn_jax.training.state import TrainState


def verify(
    run: Path | str,
    *,
    first: int | None = None,
    last: int | None = None,
    trust_code: bool = False,
    quiet: bool = True,
) -> dict[str, Any]:
    """Trains a part of a run again, here and now, and compares the state bit for bit. Nothing in the folder is changed.

    Args:
      run: a run folder, perhaps of another machine.
      first: a saved step, or the one at which the run began, 0 without a parent; None: the one before `last`.
      last: a saved step; None: the newest.
      trust_code: as `evaluate`.
      quiet: show no progress on standard error.

    Returns:
      run, first, last; `equal`; `differing`, the paths of the arrays that do not agree, and `arrays`, how many there
      are; `environment`, what is another than in the newest start of the run, `{name: [there, here]}`.

    Raises:
      ConfigError: for a step that is not saved, or steps in the wrong order.
      RunError, CheckpointError, DataError: as `evaluate`, and when the run holds no step to compare with.
    """
    with with_code(read_run(run), trust_code=trust_code) as opened, precision(opened.config.model.dtype):
        check_data(opened)
        session = open_session(opened.config, opened.derived, opened.info)
        changes = environment_changes(
            opened.environment, environment(None, deterministic=opened.config.train.deterministic)
        )
        changes.pop("git", None)  # of the experiment's folder; its code is the run's own, and compared
        saved = Checkpoints(opened.checkpoints, read_only=True, identity=opened.identity)
        with contextlib.closing(saved) as checkpoints:
            parent = opened.content.parent
            first, last = _steps(checkpoints.steps, first, last, opened.directory, parent.step if parent else 0)
            manifest = checkpoints.manifest(last)
            if manifest.is_old:
                raise RunError(f"checkpoint {last} of `{opened.directory}` is of version 0.1; continue the run first.")
            state: TrainState
            if first in checkpoints.steps:
                state = checkpoints.restore(first, session.abstract_checkpoint())["state"]
            else:
                state = inherited(session, parent)[0]["state"] if parent else initial_state(session)
        calls = Calls(session, last)
        with (
            TrainProgress(last, first, last / opened.derived.steps_per_epoch, quiet=quiet) as progress,
            contextlib.closing(calls.ready(first)) as ready,
        ):
            number, steps, carry = first, calls.compile(first), session.carry(state)
            for count, batch in ready:
                if any(phase.first_step == number for phase in session.phases):
                    steps = calls.compile(number)
                carry, _ = steps(carry, batch)
                number += count
                progress.update(number)
        tree = {"state": carry["state"]}
        there = manifest.sums_by_path()
        paths = [path for path, *_ in leaves_of(tree)]
        sums = np.asarray(jax.device_get(checksum(tree))).tolist()
    differing = [path for path, total in zip(paths, sums, strict=True) if there.get(path) != total]
    return {
        "run": str(opened.directory),
        "first": first,
        "last": last,
        "equal": not differing,
        "differing": differing,
        "arrays": len(paths),
        "environment": changes,
    }


def _steps(saved: list[int], first: int | None, last: int | None, run: Path, begin: int) -> tuple[int, int]:
    """Between which steps to train again, of a run that began at one."""
    if not saved or saved[-1] == begin:
        raise RunError(f"`{run}` holds no checkpoint of a step yet.")
    last = saved[-1] if last is None else last
    first = max([step for step in (begin, *saved) if step < last], default=begin) if first is None else first
    for name, step, known in (("--first", first, {begin, *saved}), ("--last", last, set(saved))):
        if step not in known:
            raise ConfigError(f"`{name}` is {step}, which is not saved; saved are {sorted(known)}.")
    if first >= last:
        raise ConfigError(f"`--first` is {first} and `--last` {last}: give an earlier and a later step.")
    return first, last
