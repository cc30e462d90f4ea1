"""Several processes at one run folder: none goes on alone, and none is left waiting, where another cannot go on."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from cnn_jax.config import ConfigError
from cnn_jax.parallel import is_writer, known_to_all
from cnn_jax.runs.folder.damage import DamagedError, UnreadableError, named
from cnn_jax.runs.folder.stored import RunError


def by_process_0[T](act: Callable[[], T]) -> T | None:
    """What `act` returns, in process 0, which alone calls it; None in the others, which wait for it.

    Raises:
      ConfigError, RunError: in the others, with its words, where it raises in process 0.
    """
    result: T | None = None
    error: Exception | None = None
    if is_writer():
        try:
            result = act()
        except Exception as caught:
            error = caught
    refusal = known_to_all(None if error is None else [isinstance(error, ConfigError), str(error)])
    if error is not None:
        raise error
    if refusal is not None:
        mistaken, words = refusal
        raise (ConfigError if mistaken else RunError)(f"process 0 ended the run: {words}")
    return result


def together[T](folder: Path, attempt: Callable[[], T]) -> T:
    """What `attempt` returns; each process raises where one of them does: its own error, or a CheckpointError.

    Damage to one is damage to all.  A read error in one is no damage, whatever the others say.
    """
    if jax.process_count() == 1:
        return attempt()
    error: Exception | None = None
    try:
        result = attempt()
    except Exception as caught:  # whatever it is, the others wait for word of it
        error = caught
    mine = 0 if error is None else 1 if isinstance(error, DamagedError) else 2
    worst = int(np.max(multihost_utils.process_allgather(np.int32(mine))))
    if worst > mine:
        kind = DamagedError if worst == 1 else UnreadableError
        raise kind(str(error or f"another process of the run cannot use {named(folder)}; its message says why."))
    if error is not None:
        raise error
    return result


def check_alike(identity: str) -> None:
    """Refuses, in all processes, a run of which one of them holds another experiment than process 0.

    Raises:
      ConfigError: saying what may differ.
    """
    if jax.process_count() == 1:
        return
    differs = known_to_all(identity) != identity
    if int(np.max(multihost_utils.process_allgather(np.int32(differs)))):
        raise ConfigError(
            f"the processes of this run do not hold one experiment (here it is {identity}): other code of one's own, "
            "data, starting weights or settings. Give all of them the same files and flags."
        )
