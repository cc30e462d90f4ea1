"""Which GPUs a process sees, and which of them are its own.

Imports no JAX: GPUs are given out before it starts.
"""

import os
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from itertools import takewhile
from pathlib import Path


class ClusterError(ValueError):
    """The processes of a run, or their GPUs, are not known, or do not fit each other."""

    exit_status = 2


def visible_gpus(environment: Mapping[str, str] = os.environ, devices: Path = Path("/dev")) -> list[str]:
    """The GPUs that JAX would use here, by names that CUDA_VISIBLE_DEVICES takes; none where it stays on the CPU.

    Args:
      devices: where the driver shows each GPU as `nvidia` with a number. Under WSL2 it does not: name them in
        CUDA_VISIBLE_DEVICES there. GPUs of other makers are not counted.
    """
    platform = environment.get("JAX_PLATFORMS", "").split(",")[0]
    if platform not in ("", "cuda", "gpu") or not any("cuda" in p.name for p in entry_points(group="jax_plugins")):
        return []
    if (listed := environment.get("CUDA_VISIBLE_DEVICES")) is None:
        return [str(number) for number, _ in enumerate(devices.glob("nvidia[0-9]*"))]
    # CUDA's rule: what stands after a name of no device is not seen either. (Slurm says NoDevFiles for none.)
    there = len(list(devices.glob("nvidia[0-9]*")))
    known = lambda name: name not in ("", "-1", "NoDevFiles") and not (name.isdecimal() and 0 < there <= int(name))  # noqa: E731
    return list(takewhile(known, map(str.strip, listed.split(","))))


def equal_parts[T](gpus: Sequence[T], processes: int) -> list[list[T]]:
    """The GPUs of each process on this machine: as many for one as for another, and none left over.

    Raises:
      ClusterError: where that cannot be.
    """
    size, left = divmod(len(gpus), processes)
    if not size or left:
        fitting = ", ".join(str(n) for n in range(1, len(gpus) + 1) if len(gpus) % n == 0)
        raise ClusterError(
            f"{processes} processes cannot share {len(gpus)} GPU{'s' * (len(gpus) > 1)} equally: start {fitting}, name "
            "other GPUs in CUDA_VISIBLE_DEVICES, or stay on the CPU by JAX_PLATFORMS=cpu."
        )
    return [list(gpus[number * size : (number + 1) * size]) for number in range(processes)]


def own_gpus(environment: Mapping[str, str], gpus: int) -> list[int] | None:
    """Which of the GPUs that it sees a process takes, for `jax.distributed.initialize`; None leaves it to JAX.

    JAX gives a task of Slurm or Open MPI one GPU, that of the task's number on its node: one of eight where the task
    has eight, and none where it sees but its own. Here a task takes all that it sees where they are its alone
    (`--gpus-per-task`, one task a node), and an equal part, in the tasks' order, where all of the node see the same
    (`--gpus-per-node`).

    Args:
      environment: with the scheduler's variables. JAX_LOCAL_DEVICE_IDS decides alone, where it is set.
      gpus: how many the process sees.

    Raises:
      ClusterError: where GPUs would be left over, or shared by two.

    Source: "Output environment variables" of Slurm's srun(1); ompi_info(1) of Open MPI.
    """
    task = _task(environment)
    if task is None or not gpus or "JAX_LOCAL_DEVICE_IDS" in environment:
        return None
    number, tasks = task
    per_task = _count(environment.get("SLURM_GPUS_PER_TASK"))
    counted = _count(environment.get("SLURM_GPUS_ON_NODE")) or per_task * tasks
    if not counted and gpus < tasks and "CUDA_VISIBLE_DEVICES" in environment:  # each was given its own by hand
        return list(range(gpus))
    on_node = counted or gpus
    if gpus == (per_task or on_node / tasks):
        return list(range(gpus))
    if gpus == on_node and gpus % tasks == 0 and per_task in (0, gpus // tasks):
        return equal_parts(range(gpus), tasks)[number]
    asked = f", `--gpus-per-task` {per_task}" if per_task else ""
    raise ClusterError(
        f"on this node the job's processes are {tasks}, its GPUs {on_node}{asked}, and this process sees {gpus}: some "
        f"would be left over, or taken twice. Start as many processes as GPUs (Slurm's `--ntasks-per-node={on_node}`) "
        "or one, name those of each, from 0, in JAX_LOCAL_DEVICE_IDS, or stay on the CPU by JAX_PLATFORMS=cpu."
    )


def _task(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """Which task of its node this process is, from 0, and how many there are; None outside Slurm and Open MPI."""
    # Open MPI first: Slurm may have started its daemons, one a node, whose variables its processes inherit.
    for number, tasks in (
        ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
        ("SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"),
    ):
        if number in environment and tasks in environment:
            return int(environment[number]), _on_node(environment[tasks], int(environment.get("SLURM_NODEID", 0)))
    return None


def _on_node(tasks: str, node: int) -> int:
    """The tasks of a node, by Slurm's list for all: "8(x2),4" is 8, 8, 4."""
    each: list[int] = []
    for count, repeated in re.findall(r"(\d+)(?:\(x(\d+)\))?", tasks):
        each += [int(count)] * int(repeated or 1)
    return each[min(node, len(each) - 1)]


def _count(text: str | None) -> int:
    """Of GPUs, as "2" or "a100:2"; 0 where nothing is said."""
    return int(text.rpartition(":")[2]) if text else 0
