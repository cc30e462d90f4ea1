"""The functions that a configuration names, found: network, optimiser, schedule, gradient rule, loss."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import optax
from flax import linen as nn

from cnn_jax.code.digest import code_naming, own_code
from cnn_jax.code.own_modules import find_own
from cnn_jax.config import Config, check_types, named, named_parts
from cnn_jax.config.parts import own_name
from cnn_jax.models import MODELS, architecture, create_model
from cnn_jax.models.own import check_own, create_own, network_arguments
from cnn_jax.names import find, join, split
from cnn_jax.runs.derive import Derived
from cnn_jax.runs.phases import rate_factors
from cnn_jax.signatures import bind
from cnn_jax.training.freeze import Phase
from cnn_jax.training.losses import LOSSES, Loss
from cnn_jax.training.optimizer import OPTIMIZERS, decayed, make_optimizer, optimizer_arguments
from cnn_jax.training.rules import RULES, Rule
from cnn_jax.training.schedules import SCHEDULES, LearningRate, make_schedule

# By key: ours, and what they are.
_OURS: dict[str, tuple[Mapping[str, Any], str]] = {
    "model.name": (MODELS, "network"),
    "optim.name": (OPTIMIZERS, "optimiser"),
    "optim.schedule": (SCHEDULES, "schedule"),
    "optim.gradient": (RULES, "gradient rule"),
    "train.loss": (LOSSES, "loss"),
}


def resolve_parts(config: Config) -> Config:
    """The configuration with one name for each function, all arguments complete, and the code that counts.

    Those of Optax's functions that are ours under another name bear ours. What a network or an optimiser that is not
    ours takes by default stands in the configuration, so that the experiment has another name where that changes.

    Raises:
      ConfigError: when there is no such function.
    """
    parts = named_parts(config)
    for key, (ours, what) in _OURS.items():
        if key == "model.name" and ":" not in parts[key]:
            continue  # the registry says best what is wrong with a name
        with named(key):
            part = find(parts[key], ours, what, _experiment(config))
        if ":" not in parts[key]:
            continue
        name = next((name for name, other in ours.items() if other is part), parts[key])
        section, field = key.split(".")
        values: dict[str, Any] = {field: name}
        if key == "model.name":
            values["options"] = network_arguments(part) | config.model.options  # type: ignore[operator]
        elif key == "optim.name" and name not in ours:
            values["arguments"] = optimizer_arguments(part) | config.optim.arguments  # type: ignore[operator]
        elif key != "optim.name":
            values[field] = join(name, split(getattr(getattr(config, section), field))[1])
        section_now = dataclasses.replace(getattr(config, section), **values)
        config = dataclasses.replace(config, **{section: section_now})
    elsewhere = [name for name in named_parts(config).values() if ":" in name]
    if config.code is not None:
        code = code_naming(config.code, elsewhere)
    elif elsewhere:
        code = own_code(Path("-"), b"", folder=None, parts=elsewhere)
    else:
        return config
    return dataclasses.replace(config, code=code)


def default_arguments(config: Config) -> dict[str, Any]:
    """What the optimiser of a configuration takes, by name, with the values that it has by default.

    Raises:
      ConfigError: when there is no such optimiser.
    """
    config = check_types(config)
    with named("optim.name"):
        return optimizer_arguments(_found(config, "optim.name")[0])


def default_options(config: Config) -> dict[str, Any]:
    """What the network of a configuration takes where it is none of ours, as `default_arguments`."""
    config = check_types(config)
    with named("model.name"):
        return network_arguments(_found(config, "model.name")[0])


def network(config: Config, num_classes: int) -> nn.Module:
    """The network, ours or one's own."""
    model, dtype = config.model, jnp.dtype(config.model.dtype)
    name = named_parts(config)["model.name"]
    if ":" not in name:
        with named("model.name"):
            architecture(name)
        with named("model"):
            return create_model(name, num_classes, dtype, model.options, remat=model.remat)
    with named("model.name"):
        part, _, name = _found(config, "model.name")
        return create_own(part, model.options, name, num_classes, dtype, remat=model.remat)


def check_network(config: Config, model: nn.Module, image_shape: tuple[int, int, int], num_classes: int) -> None:
    """Refuses a network of one's own that does not give logits of these images, before a folder is made.

    Raises:
      ConfigError: naming the key.
    """
    name = named_parts(config)["model.name"]
    if ":" in name:
        with named("model.name"):
            check_own(model, name, image_shape, num_classes)


def learning_rate(config: Config, derived: Derived) -> LearningRate:
    """The learning rate of every step."""
    steps, warmup_steps = derived.steps, derived.warmup_steps
    with named("optim.schedule"):
        what = _found(config, "optim.schedule")
        return make_schedule(*what, peak=derived.learning_rate, steps=steps, warmup_steps=warmup_steps)


def optimizer(
    config: Config, rate: LearningRate, parts: Sequence[Phase], now: int
) -> optax.GradientTransformationExtraArgs:
    """The optimiser, with clipping and weight decay, for what is not frozen in the part of the run numbered `now`."""
    optim = config.optim
    with named("optim.name"):
        part, _, name = _found(config, "optim.name")
        return make_optimizer(
            part,
            optim.arguments,
            name,
            rate=rate,
            weight_decay=optim.weight_decay,
            decays=decayed(optim.decay),
            clip_norm=optim.clip_norm,
            factors=rate_factors(config),
            parts=parts,
            now=now,
            seed=config.seed,
        )


def is_noisy(config: Config) -> bool:
    """Whether the optimiser draws, from the run's seed."""
    return "key" in inspect.signature(_found(config, "optim.name")[0]).parameters


def gradient_rule(config: Config) -> Rule:
    """Where the gradient is taken."""
    with named("optim.gradient"):
        return bind(*_found(config, "optim.gradient"), "gradient", "state", "batch")


def loss(config: Config, num_classes: int) -> Loss:
    """The loss of each row."""
    smoothing = config.optim.label_smoothing
    with named("train.loss"):
        part, arguments, name = _found(config, "train.loss")
        leading = ("logits", "targets")
        return bind(part, arguments, name, *leading, label_smoothing=smoothing, num_classes=num_classes)


def own_metrics(config: Config, num_classes: int) -> dict[str, Loss]:
    """The metrics of `train.metrics`, by the names of their figures.

    Raises:
      ConfigError: for one that does not exist, or bears the name of another figure.
    """
    found: dict[str, Loss] = {}
    with named("train.metrics"):
        for text in config.train.metrics:
            part, arguments, name = _find(config, str(text), LOSSES, "metric")
            figure = name.rpartition(":")[2]
            if figure in found or figure in ("loss", "nll", "ece", "top1", "top5", "per_class", "num_examples"):
                raise ValueError(f"there is a figure called {figure} already; give {text!r} another name.")
            found[figure] = bind(part, arguments, name, "logits", "labels", num_classes=num_classes)
    return found


def operations(config: Config, key: str, /, *leading: str, **offered: Any) -> list[str | Callable[..., Any]]:
    """The operations of `data.augment` or another list: ours as text, one's own as functions with their arguments.

    Args:
      leading, offered: as `signatures.bind`.
    """
    found: list[str | Callable[..., Any]] = []
    with named(key):
        for text in getattr(config.data, key.removeprefix("data.")):
            if own_name(text) is None:
                found.append(text)
            else:
                found.append(bind(*own_part(config, text, "operation"), *leading, **offered))
    return found


def own_part(config: Config, text: str, what: str) -> tuple[Callable[..., Any], dict[str, Any], str]:
    """A function that is none of ours by its name, with the arguments that stand with it."""
    return _find(config, text, {}, what)


def _found(config: Config, key: str) -> tuple[Callable[..., Any], dict[str, Any], str]:
    """A function, its arguments as they stand with its name, and its name."""
    section, field = key.split(".")
    return _find(config, getattr(getattr(config, section), field), *_OURS[key])


def _find(
    config: Config, text: str, ours: Mapping[str, Any], what: str
) -> tuple[Callable[..., Any], dict[str, Any], str]:
    name, arguments = split(text)
    place = name.rpartition(":")[0]
    if config.code is None and place and find_own(place) is not None:  # what it was may not be what lies there now
        raise ValueError(f"{name!r} is a function of one's own, of which nothing was stored with the run.")
    return find(name, ours, what, _experiment(config)), arguments, name


def _experiment(config: Config) -> str | None:
    return None if config.code is None else config.code.module
