"""The first line of a training: on what it runs, what it learns, how long, and where it goes."""

import math
from pathlib import Path
from typing import Any

import jax

from cnn_jax.runs.calls import loops, steps_per_call
from cnn_jax.runs.session import Session


def headline(session: Session, environment: dict[str, Any], directory: Path) -> str:
    """Device, data, network, parameters, steps, rate, seed and folder.

    Args:
      environment: of this start, by `cnn_jax.runs.machine.environment`.
    """
    config, derived = session.config, session.derived
    device, number = jax.devices()[0], jax.device_count()
    if device.platform == "cpu":
        what = f"CPU {environment['cpu'] or ''} ({environment['processors']} processors)".replace("  ", " ")
    else:
        what = device.device_kind
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(session.abstract_variables()["params"]))
    epochs = derived.steps / derived.steps_per_epoch
    calls = f", up to {steps_per_call(config.train)} in a call" if loops(session.info) else ""
    return " · ".join(
        (
            what if number == 1 else f"{number} devices, {what}",
            f"{config.data.name}, {session.info.num_examples:,} images",
            f"{str(config.model.name).removeprefix(':')}, {parameters:,} parameters",
            f"{derived.steps:,} steps, {round(epochs, 1):g} epochs at batch {config.data.batch_size}{calls}",
            f"learning rate {derived.learning_rate:.4g}",
            f"seed {config.seed}",
            str(directory),
        )
    )
