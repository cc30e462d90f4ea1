"""Trainings elsewhere: launch, several processes on this machine, and submit, a cluster's job."""

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import arg

from cnn_jax.cli.binding import check_words, given
from cnn_jax.cli.flags import Json, check_range, print_figures
from cnn_jax.cli.runs import train
from cnn_jax.config import ConfigError
from cnn_jax.parallel import JobSize

Training = Annotated[
    tyro.conf.Positional[tuple[str, ...]],
    arg(metavar="train EXPERIMENT …", help="A training command, with its flags."),
]

# More than that and the processes take longer to meet than to train: it is surely a slip.
_PROCESSES_PER_CORE = 16

_PROCESS_FLAGS = tuple(
    f"--parallel.{key}" for key in ("distributed", "no-distributed", "coordinator", "num-processes", "process-id")
)


def launch(
    processes: Annotated[int, arg(help="How many, each with an equal share of the GPUs and of the cores.")] = 2,
    restarts: Annotated[int, arg(help="How often to start all again, from the newest checkpoint, after one died.")] = 0,
    command: Training = (),
) -> int:
    """Train with several processes on this machine: one a GPU, or on the cores, to try out what a cluster does."""
    from cnn_jax.parallel import launch

    words = _words(command, "launch", "--processes 2")
    check_range("--processes", processes, 1, _PROCESSES_PER_CORE * (os.cpu_count() or 1))
    check_range("--restarts", restarts, 0)
    return launch([sys.executable, "-m", "cnn_jax", "train", *words], processes=processes, restarts=restarts)


def submit(
    size: Annotated[JobSize, arg(name="")] = JobSize(),
    command: Training = (),
    json: Json = False,
) -> int:
    """Train in a job of Slurm's; it is queued again, and goes on, when its time is over or its nodes are taken back."""
    from cnn_jax.parallel import submit

    words = _words(command, "submit", "--nodes 2")
    for field in dataclasses.fields(JobSize):
        value = getattr(size, field.name)
        if isinstance(value, int):
            check_range(f"--{field.name.replace('_', '-')}", value, 0 if field.name == "gpus_per_node" else 1)
    if size.gpus_per_node % size.processes_per_node:
        raise ConfigError(
            f"`--gpus-per-node` is {size.gpus_per_node} and `--processes-per-node` {size.processes_per_node}: each "
            "process takes one GPU, or an equal number, for itself, and none may be left over."
        )
    check_words(train, words)  # here, not hours later in the job
    job = submit(words, size, Path("jobs").absolute())
    logs = str(job.paths.stdout)
    return print_figures(
        {"job": job.job_id, "output": logs}, json, lambda: print(f"job {job.job_id}; output in {logs}")
    )


def separate_training(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """The words of `launch` or `submit`, with `--` before those of the training, so that its flags are not theirs.

    Args:
      options: of the process; the training takes them, too.
    """
    for position, word in enumerate(words):
        if word == "train" or word.endswith(".py"):
            return [*words[:position], "--", *words[position:], *options]
    return list(words)


def _words(command: tuple[str, ...], name: str, flags: str) -> list[str]:
    """The words of the training command from the experiment on, with no flag that `launch` and `submit` set."""
    words = list(command[1:] if command[:1] == ("train",) else command)
    if not words:
        raise ConfigError(
            f"{name} needs a training command, e.g. `cnn-jax {name} {flags} train experiments/digits_lenet.py`."
        )
    for flag in sorted(given(words)):
        if flag in _PROCESS_FLAGS:
            raise ConfigError(f"`{flag}` is set by {name}; leave it out.")
    return words
