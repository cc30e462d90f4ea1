"""Several processes read one checkpoint: none goes on alone with what another could not read."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from cnn_jax.training.damage import CheckpointError, DamagedError, UnreadableError, named


def together[T](folder: Path, attempt: Callable[[], T]) -> T:
    """What `attempt` returns; each process raises a CheckpointError where one of them does.

    Damage to one is damage to all.  A read error in one is no damage, whatever the others say.
    """
    if jax.process_count() == 1:
        return attempt()
    error: CheckpointError | None = None
    try:
        result = attempt()
    except CheckpointError as caught:
        error = caught
    mine = 0 if error is None else 1 if isinstance(error, DamagedError) else 2
    worst = int(np.max(multihost_utils.process_allgather(np.int32(mine))))
    if worst > mine:
        kind = DamagedError if worst == 1 else UnreadableError
        raise kind(str(error or f"another process of the run cannot use {named(folder)}; its message says why."))
    if error is not None:
        raise error
    return result
