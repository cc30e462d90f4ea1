"""Training as a job of a cluster, through submitit.

Imports neither JAX nor, before a job is sent, submitit.
"""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

# How often a job that ran out of time is queued again; submitit's own limit is 3, too few for a training of days.
_MOST_TIMES = 1000


@dataclasses.dataclass(frozen=True)
class JobSize:
    """What a job asks of the cluster."""

    nodes: int = 1
    processes_per_node: int = 1
    """Each takes an equal part of the node's GPUs; more than one process in all makes the training distributed."""
    gpus_per_node: int = 0
    cpus_per_process: int = 1
    minutes: int = 60
    """After so long, or when the cluster takes the nodes back, the job saves and is queued again."""
    partition: str | None = None


class Training:
    """What the job runs: the command in a process of its own, asked to save and stop when the job's time is over."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Runs the command; raises RuntimeError when it fails, so that the cluster counts the job as failed."""
        # Slurm may send the signal that is meant for submitit to the training as well, which it would end unsaved.
        deaf = lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # noqa: E731
        self._process = subprocess.Popen(self._command, preexec_fn=deaf)
        status = self._process.wait()
        if status:
            raise RuntimeError(f"the training ended with status {status}; its output is beside this file.")
        return status

    def checkpoint(self) -> Any:
        """Called by submitit before the job ends: stops the training after a checkpoint, and asks for another job.

        The signal goes to one process; all of the run save at the same step.
        """
        from submitit.helpers import DelayedSubmission

        if self._process is not None:
            # This runs in a signal's handler, above the wait in __call__, which holds the lock of Popen's own methods.
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._process.pid, signal.SIGTERM)
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(Training(self._command))


def submit(words: Sequence[str], size: JobSize, folder: Path, cluster: Literal["slurm", "local"] = "slurm") -> Any:
    """Sends a training as a job.

    Args:
      words: of a `cnn-jax train` command, from the experiment on.
      folder: where submitit keeps the job and its output.
      cluster: submitit's `local` runs the job on this machine, in one process, to try it out.

    Returns:
      The submitit job.

    Raises:
      RuntimeError: when submitit is not installed, or Slurm not there.
    """
    try:
        import submitit
    except ImportError as error:
        raise RuntimeError("submit needs submitit; install it with `pip install 'cnn-jax[slurm]'`.") from error
    command = [sys.executable, "-m", "cnn_jax", "train", *words]
    if size.nodes * size.processes_per_node > 1:
        command.append("--parallel.distributed")
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster, slurm_max_num_timeout=_MOST_TIMES)
    except RuntimeError as error:
        raise RuntimeError(f"no job can be sent from here: {error}") from error
    executor.update_parameters(
        nodes=size.nodes,
        tasks_per_node=size.processes_per_node,
        gpus_per_node=size.gpus_per_node,
        timeout_min=size.minutes,
        name="cnn-jax",
    )
    if cluster == "slurm":
        executor.update_parameters(
            cpus_per_task=size.cpus_per_process,
            # From Slurm 22.05 on, a step does not inherit what its job was given.
            slurm_srun_args=[f"--cpus-per-task={size.cpus_per_process}"],
            slurm_additional_parameters={"requeue": True},
        )
        if size.partition is not None:
            executor.update_parameters(slurm_partition=size.partition)
    return executor.submit(Training(command))
