"""Where a run begins: with parameters drawn from the seed, or the weights in a file or a run, learned before."""

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.config import Config, ConfigError
from cnn_jax.paths import local_path
from cnn_jax.randomness import random_key
from cnn_jax.runs.session import Session
from cnn_jax.runs.start.starting_weights import find_run, weights_file
from cnn_jax.training.state import TrainState, start_average
from cnn_jax.weights import stated_input
from cnn_jax.weights.description import check_classes
from cnn_jax.weights.read_write import Taken, read_weights

logger = logging.getLogger(__name__)

_NAMED = 6  # arrays, in a message


def resolve_weights(config: Config) -> Config:
    """The configuration with the checksum of the file of `model.weights`, as the run's folder records it.

    The identity holds what is in the file: its arrays, where they are known (`content_of`), else this checksum. A run
    in its place has no checksum.

    Raises:
      ConfigError: when there is no such file, or the checksum that the configuration gives is another.
    """
    model = config.model
    if model.weights is None:
        return config
    if find_run(model.weights):
        if model.weights_sha256 is not None:
            raise ConfigError(f"`model.weights_sha256` is of a file, and `model.weights` {model.weights} is a run.")
        return config
    path = local_path(model.weights, "model.weights", utf8=False)
    if not path.is_file():
        raise ConfigError(f"`model.weights` is {path}: there is no such file, and no run, below {Path.cwd()}.")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if model.weights_sha256 not in (None, found):
        raise ConfigError(
            f"`model.weights_sha256` is {model.weights_sha256}, but {path} has {found}: it is another file."
        )
    return dataclasses.replace(config, model=dataclasses.replace(model, weights_sha256=found))


def initial_state(session: Session, say: Callable[[str], None] = logger.debug) -> TrainState:
    """The state before the first step, with the weights of `model.weights` in place.

    Args:
      say: is told what was taken of the weights, what was left, and what is drawn afresh.

    Raises:
      WeightsError: when the file does not hold the network's weights, or its classifier is for other classes.
      RunError, CheckpointError, ConfigError: when the run in its place cannot be used.
    """
    state, config = session.drawn_state(), session.config
    if config.model.weights is None:
        return state
    with weights_file(config.model.weights, config.model.dtype) as file:
        found = read_weights(
            file,
            session.model,
            head=not config.model.new_head,
            key=random_key(config.seed_of("init"), "init"),  # a new classifier is then the one that the seed gives
            image_shape=session.image_shape,
        )
        if not config.model.new_head:
            remedy = "take the data set of its classes, or draw the classifier afresh (`model.new_head`)"
            check_classes(file, session.info.class_names, remedy)
        _note_other_images(session, file)
    say(f"weights of {config.model.weights}: {_account(found)}")
    return _with_optimizer_begun(session, with_weights(state, found.variables))


def _account(found: Taken) -> str:
    """What became of the arrays of a file, and of the network's that are not in it."""
    parts = [f"{len(found.taken)} arrays taken"]
    for what, names in (("left there", sorted(found.left)), ("drawn afresh", sorted(found.drawn))):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            parts.append(f"{what}: {', '.join(names[:_NAMED])}{more}")
    return "; ".join(parts)


def _with_optimizer_begun(session: Session, state: TrainState) -> TrainState:
    """The state with the optimiser's as of these parameters, which some optimisers keep."""
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state.opt_state)
    # Of copies: all are donated to the step, and one buffer cannot be donated twice.
    begin = jax.jit(lambda params: session.optimizer.init(jax.tree.map(jnp.copy, params)), out_shardings=shardings)
    return dataclasses.replace(state, opt_state=begin(state.params))


def _note_other_images(session: Session, file: Path) -> None:
    """Say in the log where the file knows its images otherwise than this run prepares them, and how to follow it."""
    stated = stated_input(file)
    if stated is None:
        return
    data = session.config.data
    theirs: dict[str, Any] = {"mean": stated.mean, "std": stated.std}
    ours: dict[str, Any] = {"mean": session.info.mean, "std": session.info.std}
    if session.augment.scales or session.eval_augment.scales:
        theirs["interpolation"], ours["interpolation"] = stated.interpolation, data.interpolation
    differing = [key for key in theirs if not np.array_equal(theirs[key], ours[key])]
    if differing:
        flags = {key: v if isinstance(v, str) else " ".join(f"{x:g}" for x in v) for key, v in theirs.items()}
        logger.warning(
            "note: `model.weights` knows images otherwise than this run prepares them (%s); take it over by %s",
            stated.source,
            " ".join(f"--data.{key} {flags[key]}" for key in differing),
        )


def with_weights(state: TrainState, variables: Mapping[str, Any]) -> TrainState:
    """The state with a network's variables, and their average, in place of its own."""
    params, batch_stats = (
        jax.tree.map(lambda new, old: jax.device_put(new, old.sharding), variables.get(name, {}), drawn)
        for name, drawn in (("params", state.params), ("batch_stats", state.batch_stats))
    )
    state = dataclasses.replace(state, params=params, batch_stats=batch_stats)
    return state if state.ema is None else start_average(state)
