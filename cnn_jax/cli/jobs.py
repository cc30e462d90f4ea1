"""Trainings elsewhere: the command launch, several processes on this machine, and train --executor, a cluster's job."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import arg

from cnn_jax.cli.flags import Debug, print_figures
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
    if processes < 1 or restarts < 0 or not words:
        raise ConfigError(
            "launch needs a positive number of processes and a training command, "
            "e.g. `cnn-jax launch --processes 2 train experiments/digits_lenet.py`."
        )
    return launch([sys.executable, "-m", "cnn_jax", "train", *words], processes=processes, restarts=restarts)


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
