"""The command launch: several processes of a training on this machine."""

import sys
from collections.abc import Sequence
from typing import Annotated

import tyro
from tyro.conf import arg

from cnn_jax.cli.flags import Debug


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
    from cnn_jax.config import ConfigError
    from cnn_jax.parallel import launch

    words = command[1:] if command[:1] == ("train",) else command
    if processes < 1 or restarts < 0 or not words:
        raise ConfigError(
            "launch needs a positive number of processes and a training command, "
            "e.g. `cnn-jax launch --processes 2 train experiments/digits_lenet.py`."
        )
    return launch([sys.executable, "-m", "cnn_jax", "train", *words], processes=processes, restarts=restarts)


def shield(argv: Sequence[str]) -> list[str]:
    """The words of `launch`, with `--` before those of the training, so that its flags are not taken for launch's."""
    for position, word in enumerate(argv):
        if word == "train" or word.endswith(".py"):
            return [*argv[:position], "--", *argv[position:]]
    return list(argv)
