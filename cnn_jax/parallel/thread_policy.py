"""How Linux schedules the threads that JAX computes and communicates with on a CPU."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import jax


@contextlib.contextmanager
def starting_jax() -> Iterator[None]:
    """A context in which JAX starts its devices; on a CPU, their threads take turns (`SCHED_BATCH`) from its end on.

    Gloo receives in a thread of its own, which on a core that it shares with the computing one wakes up in the middle
    of that one's sending, finds the connection locked, and asks again until the next tick of the scheduler: four
    milliseconds for a message of two hundred bytes, 250 ms of a ResNet-20 step in two processes of one core (544 ms,
    and 316 where waking up does not interrupt; for comparison, 251 without any messages). Any process may ask for this.
    """
    if sys.platform != "linux":
        yield
        return
    before = set(_threads())
    yield
    if jax.default_backend() == "cpu":
        for thread in set(_threads()) - before:
            with contextlib.suppress(ProcessLookupError):  # it may have ended by now
                os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))


def _threads() -> Iterator[int]:
    return (int(folder.name) for folder in Path("/proc/self/task").iterdir())
