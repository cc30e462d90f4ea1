"""Several processes that train one model: how they find each other, agree on a stop, and notice that one has died."""

import collections
import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator
from typing import NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Array

from cnn_jax.parallel.gpus import ClusterError, own_gpus, visible_gpus
from cnn_jax.parallel.layout import Layout
from cnn_jax.parallel.stopping import STOPPING

# A process that has not been heard of for so long is dead.
HEARTBEAT_SECONDS = 30

# Status codes of XLA that are about the program or this machine; with any other, a peer may be what failed.
_OWN_FAULTS = ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED")

# Calls after which a number that one process put in is known to all: no more than the loop runs ahead of the devices.
CALLS_TO_AGREE = 2


class PeerError(RuntimeError):
    """Another process of the run has died, or cannot be reached."""


@contextlib.contextmanager
def joined(
    distributed: bool, coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> Iterator[None]:
    """A context in which this process is one of several; nothing happens unless `distributed`.

    Processes stay joined afterwards, for JAX can be started in them only once.

    Args:
      coordinator: HOST:PORT of process 0.
      num_processes, process_id: how many there are, and which of them this is, from 0.  What is None, JAX finds in the
        environment of Slurm, Open MPI, Kubernetes or a TPU pod.

    Raises:
      ClusterError: when it finds nothing there, what is given is no place or number of a process, or the GPUs cannot be
        shared by the processes.
      PeerError: when one of the others dies within the context.
    """
    _check(distributed, coordinator, num_processes, process_id)
    if not distributed:
        yield
        return
    if not jax.distributed.is_initialized():
        # Empty means none: the processes reach each other directly, and a proxy for the web knows nothing of them.
        os.environ["grpc_proxy"] = ""  # noqa: SIM112, gRPC's own spelling
        jax.config.update("jax_check_proxy_envs", False)  # it would warn of this one
        # It would take SIGTERM for itself, and do nothing.
        jax.config.update("jax_enable_preemption_service", False)
        own = own_gpus(os.environ, len(visible_gpus()))
        try:
            jax.distributed.initialize(
                coordinator,
                num_processes,
                process_id,
                own,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
                shutdown_timeout_seconds=HEARTBEAT_SECONDS,
            )
        except ValueError as error:
            raise ClusterError(
                f"`parallel.distributed`: {error} No cluster was found in the environment; give "
                "`parallel.coordinator`, `parallel.num_processes` and `parallel.process_id`, or use `cnn-jax launch`."
            ) from error
    this, count = "a process that had just started", None
    try:
        count = jax.process_count()  # here the processes meet for the first time
        this = f"process {jax.process_index()} of {count}"
        yield
        # Process 0 has pictures to draw; who left before it would be taken for dead.
        wait_for_all("end")
    except (jax.errors.JaxRuntimeError, ValueError, TimeoutError) as error:  # ValueError: from a program's first call
        if count == 1 or not _may_be_a_peers(error):
            raise
        reason = str(error).splitlines()[0][:200]
        raise PeerError(
            f"{this} lost another one ({reason}). Start all of them again: the run continues from its newest "
            "checkpoint."
        ) from error


def _check(distributed: bool, coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Refuses numbers that name no process, and any of them where they would have no effect."""
    given = {"coordinator": coordinator, "num_processes": num_processes, "process_id": process_id}
    for key, value in given.items():
        if value is not None and not distributed:
            raise ClusterError(
                f"`parallel.{key}` is {value}, and has no effect without `parallel.distributed`; set that as well, or "
                "leave it out."
            )
    if coordinator is not None:
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise ClusterError(
                f"`parallel.coordinator` is {coordinator}: it must be HOST:PORT of process 0, such as localhost:12345."
            )
    if num_processes is not None and not 1 <= num_processes < 2**31:
        raise ClusterError(f"`parallel.num_processes` is {num_processes}: it must be positive, and below 2^31.")
    if process_id is not None and not 0 <= process_id < (num_processes or 2**31):
        raise ClusterError(
            f"`parallel.process_id` is {process_id}: it must be from 0 to below `parallel.num_processes`."
        )


def _may_be_a_peers(error: Exception) -> bool:
    """Whether it may be a collective operation that failed."""
    if isinstance(error, TimeoutError):  # Orbax's, when a peer does not come to the end of a save
        return True
    code = re.match(r"([A-Z_]+): ", str(error))
    return code is not None and code[1] not in _OWN_FAULTS


def is_writer() -> bool:
    """Whether this is process 0, the one that writes logs."""
    return jax.process_index() == 0


def exit_process(status: int) -> NoReturn:
    """Ends the process with an exit status; after a failure at once, without waiting for peers that may be dead."""
    stopped = status in [128 + number for number in STOPPING]  # as all of them are, after the same step
    if status and not stopped and jax.distributed.is_initialized():
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # its reader has gone, or there is none
                stream.flush()
        os._exit(status)
    sys.exit(status)


def wait_for_all(name: str) -> None:
    """Returns when every process has come here; at once where there is only one."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def known_to_all[T](value: T) -> T:
    """Process 0's value, which JSON can hold, in every process; those of the others do not count."""
    if jax.process_count() == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode() if is_writer() else b"", np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.int32(text.size)))
    text = multihost_utils.broadcast_one_to_all(text if is_writer() else np.zeros(length, np.uint8))
    told: T = json.loads(np.asarray(text, np.uint8).tobytes())
    return told


def largest_of_all(number: int) -> int:
    """The maximum over all processes; each waits for all, which costs nothing outside the steps."""
    if jax.process_count() == 1:
        return number
    return int(np.max(multihost_utils.process_allgather(np.int32(number))))


class Agreement:
    """Tells every process, at the same step, the largest number that any of them put in.

    Two processes that get a signal at different moments must stop at the same step, or one would wait for ever in the
    next one's reduction.  The maximum over all devices is taken in the background, `CALLS_TO_AGREE` steps behind, so
    that no call waits for it.
    """

    def __init__(self, layout: Layout) -> None:
        self._split = layout.split
        self._largest = layout.replicated_jit(jnp.max)
        self._under_way: collections.deque[Array] = collections.deque()

    def __call__(self, number: int) -> int:
        """Puts in this call's number; returns the maximum of some calls before, 0 at first, or `number` when alone."""
        if jax.process_count() == 1:
            return number
        mine = np.full(jax.local_device_count(), number, np.int32)
        self._under_way.append(self._largest(jax.make_array_from_process_local_data(self._split, mine)))
        return int(self._under_way.popleft()) if len(self._under_way) > CALLS_TO_AGREE else 0
