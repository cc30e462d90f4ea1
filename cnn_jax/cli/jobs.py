"""Trainings elsewhere: the command launch, several processes on this machine, and train --executor, a cluster's job."""

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import arg

from cnn_jax.cli.binding import given
from cnn_jax.cli.flags import Debug, check_range, print_figures
from cnn_jax.config import ConfigError
from cnn_jax.parallel import JobSize, submit


def launch(
    processes: Annotated[int, arg(help="How many, each with its share of the cores.")] = 2,
    restarts: Annotated[int, arg(help="How often to start all again, from the newest checkpoint, after one died.")] = 0,
    command: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        arg(metavar="train EXPERIMENT …", help="A training command, with its flags."),
    ] = (),
    debug: Debug = False,
) -> int:
    """Train with several processes on this machine, as a cluster would, to try it out."""
    from cnn_jax.parallel import launch

    words = command[1:] if command[:1] == ("train",) else command
    if not words:
        raise ConfigError(
            "launch needs a training command, e.g. `cnn-jax launch --processes 2 train experiments/digits_lenet.py`."
        )
    check_range("--processes", processes, 1, _PROCESSES_PER_CORE * (os.cpu_count() or 1))
    check_range("--restarts", restarts, 0)
    for flag in sorted(given(words)):
        if flag == "--executor" or flag.startswith("--job."):
            raise ConfigError(f"`{flag}` sends a training elsewhere, and launch keeps it here; give one of the two.")
        if flag in _PROCESS_FLAGS:
            raise ConfigError(f"`{flag}` is set by launch; leave it out.")
    return launch([sys.executable, "-m", "cnn_jax", "train", *words], processes=processes, restarts=restarts)


# More than that and the processes take longer to meet than to train: it is surely a slip.
_PROCESSES_PER_CORE = 16

_PROCESS_FLAGS = tuple(
    f"--parallel.{key}" for key in ("distributed", "no-distributed", "coordinator", "num-processes", "process-id")
)


def check_job(executor: Literal["slurm", "local"] | None, size: JobSize) -> None:
    """Refuses a size that no job has, and what the executor has no use for.

    Raises:
      ConfigError: naming the flag.
    """
    for field in dataclasses.fields(JobSize):
        flag, value = f"--job.{field.name.replace('_', '-')}", getattr(size, field.name)
        if isinstance(value, int):
            check_range(flag, value, 0 if field.name == "gpus_per_node" else 1)
        if value == field.default:
            continue
        if executor is None:
            raise ConfigError(f"`{flag}` has no effect without a job; add `--executor slurm`, or leave it out.")
        if executor == "local" and field.name not in ("processes_per_node", "minutes"):
            raise ConfigError(f"`{flag}` has no effect with `--executor local`, which stays here; leave it out.")


def send(words: Sequence[str], executor: Literal["slurm", "local"], size: JobSize, as_json: bool) -> int:
    """Sends a training as a job; waits for it only on this machine.

    Args:
      words: of the command, from the experiment on, with the flags of the job still among them.
    """
    kept, skipping = [], False
    for word in words:
        name, equals, _ = word.partition("=")
        if skipping or name == "--executor" or name.startswith("--job."):
            skipping = not skipping and not equals  # the value is the next word
            continue
        kept.append(word)
    job = submit(kept, executor, size, Path("jobs").absolute())
    logs = str(job.paths.stdout)
    print_figures({"job": job.job_id, "output": logs}, as_json, lambda: print(f"job {job.job_id}; output in {logs}"))
    if executor == "slurm":
        return 0
    job.wait()
    return 1 if job.exception() is not None else 0


def shield(argv: Sequence[str]) -> list[str]:
    """The words of `launch`, with `--` before those of the training, so that its flags are not taken for launch's."""
    for position, word in enumerate(argv):
        if word == "train" or word.endswith(".py"):
            return [*argv[:position], "--", *argv[position:]]
    return list(argv)
