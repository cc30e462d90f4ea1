"""Where a run starts: from parameters drawn from the seed, or from the weights in a file, learned before."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from cnn_jax.config import Config, ConfigError
from cnn_jax.randomness import random_key
from cnn_jax.training.session import Session
from cnn_jax.weights import load_weights


def settle_weights(config: Config) -> Config:
    """The configuration with the checksum of the file of `model.weights`, as the run's folder records it.

    The identity holds what is in the file: its arrays, where they are known (`content_of`), else this checksum.

    Raises:
      ConfigError: when there is no such file, or the checksum that the configuration gives is another.
    """
    model = config.model
    if model.weights is None:
        return config
    path = Path(model.weights)
    if path.is_dir():
        remedy = f"write a run's weights to a file first: `cnn-jax weights export {path} FILE.safetensors`"
        raise ConfigError(f"`model.weights` is {path}, a folder: {remedy}.")
    if not path.is_file():
        raise ConfigError(f"`model.weights` is {path}: there is no such file below {Path.cwd()}.")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if model.weights_sha256 not in (None, found):
        raise ConfigError(
            f"`model.weights_sha256` is {model.weights_sha256}, but {path} has {found}: it is another file."
        )
    return dataclasses.replace(config, model=dataclasses.replace(model, weights_sha256=found))


def first_tree(session: Session) -> dict[str, Any]:
    """What a checkpoint would hold before the first step, with the weights of `model.weights` in place.

    Raises:
      WeightsError: when the file does not hold the network's weights.
    """
    tree, config = session.fresh_tree(), session.config
    if config.model.weights is None:
        return tree
    variables = load_weights(
        config.model.weights,
        session.model,
        head=not config.model.new_head,
        key=random_key(config.seed, "init"),  # a new classifier is then the one that the seed gives
        channels=session.image_shape[-1],
    )
    return with_weights(tree, variables)


def with_weights(tree: dict[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of a checkpoint with a network's variables, and their average, in place of those in its state."""
    state = tree["state"]
    params, batch_stats = (
        jax.tree.map(lambda new, old: jax.device_put(new, old.sharding), variables.get(name, {}), drawn)
        for name, drawn in (("params", state.params), ("batch_stats", state.batch_stats))
    )
    # A copy for the average: both are donated to the step, and one buffer cannot be donated twice.
    ema = None if state.ema is None else jax.tree.map(jax.numpy.copy, params)
    return tree | {"state": state.replace(params=params, batch_stats=batch_stats, ema=ema)}
