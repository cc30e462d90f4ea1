"""Whether settings fit this network and these images: found by shapes alone, before a folder is made."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnn_jax import ops
from cnn_jax.config import Config, ConfigError, named, named_parts
from cnn_jax.data import Chain, DatasetInfo, Mix
from cnn_jax.models import abstract_variables
from cnn_jax.ops import StatisticsError
from cnn_jax.parallel import Layout
from cnn_jax.runs.build import step_context
from cnn_jax.runs.calls import MOST_RESIDENT, fits
from cnn_jax.runs.checks import MOST_STEPS
from cnn_jax.runs.parts import check_network
from cnn_jax.runs.phases import by_layers, phases, rate_factors, unfreezing
from cnn_jax.training.flax_layers import refuse_partial_batches
from cnn_jax.training.freeze import check_freeze, check_pattern, check_unfreeze, frozen_batch_norm
from cnn_jax.training.losses import Loss


def check_fit(
    config: Config,
    model: nn.Module,
    layout: Layout,
    info: DatasetInfo,
    augment: Chain,
    eval_augment: Chain,
    mix: Mix,
    num_classes: int,
    image_shape: tuple[int, int, int],
    *,
    begins: bool,
) -> None:
    """That the network takes the images and answers for the classes, and that every setting has an effect.

    Args:
      image_shape: (H, W, C) as the network sees them at evaluation.
      begins: whether the run begins here; those that there are may be evaluated whatever they were trained on.

    Raises:
      ConfigError: naming the key.
    """
    check_network(config, model, image_shape, num_classes)
    with named("model", "data.eval_augment"):
        seen = abstract_variables(model, image_shape)
    with named("data.augment"):
        shape = augment.output_shape(augment.batch_shape(info.image_shape))
        variables = seen if shape == image_shape else abstract_variables(model, shape)
    config = by_layers(config, model, image_shape)
    check_patterns(config, seen["params"], begins)
    if begins:
        if config.data.on_error == "skip" and eval_augment.host is None:
            name = config.data.name
            raise ConfigError(f"`data.on_error` has no effect on {name}, which holds no files; leave it out.")
        if (steps := config.train.steps_per_call) is not None and not fits(info):
            raise ConfigError(
                f"`train.steps_per_call` is {steps}: it has no effect on {config.data.name}, whose images stay on the "
                f"host: they are files, or more than {MOST_RESIDENT:,} bytes. Leave it out."
            )
        with named("data.mix"):
            mix.check(shape, num_classes)
        check_statistics(config, model, layout, variables, shape)
        scales, draws = augment.scales or eval_augment.scales, augment.draws or bool(mix.ops)
        check_effects(config, seen, scales=scales, draws=draws)


def check_effects(config: Config, variables: Mapping[str, Any], *, scales: bool, draws: bool) -> None:
    """Refuses what this network, or the operations on its images, have no use for.

    Args:
      variables: of the network, or their shapes.
      scales: whether an operation of training or evaluation scales images.
      draws: whether an operation of training is random, or images are mixed.

    Raises:
      ConfigError: naming the key and the remedy.
    """
    for key in ("ghost_batch", "frozen_norm", "unbiased_variance"):
        value = getattr(config.model, key)
        if value and "batch_stats" not in variables:
            meant = ", which `parallel.batch_norm` per_device stands for," if key == "ghost_batch" else ""
            raise ConfigError(
                f"`model.{key}`{meant} is {value}: it has no effect on {config.model.name}, which has no "
                "BatchNorm here; leave it out."
            )
    if config.seeds.augment is not None and not draws:
        raise ConfigError(
            f"`seeds.augment` is {config.seeds.augment}: nothing in `data.augment` and `data.mix` is drawn, so it has "
            "no effect; leave it out."
        )
    data = config.data
    if data.interpolation != "bilinear" and not scales:
        raise ConfigError(
            f"`data.interpolation` is {data.interpolation}: nothing in `data.augment` and `data.eval_augment` scales "
            'images, so it has no effect; leave it out, or add e.g. "resize(32)".'
        )


def check_patterns(config: Config, params: Any, begins: bool) -> None:
    """Refuses regular expressions for the names of parameters that match none.

    Args:
      params: of the network, or their shapes.
      begins: whether the run begins here; one that there is was trained with what it says.

    Raises:
      ConfigError: naming the key.
    """
    optim = config.optim
    if optim.freeze is not None:
        with named("optim.freeze"):
            check_freeze(optim.freeze, params)
            check_unfreeze(optim.freeze, unfreezing(config), params)
    if begins and optim.decay not in ("kernels", "all"):
        with named("optim.decay"):
            check_pattern(optim.decay, params)
    for pattern, _ in rate_factors(config) if begins else ():
        with named("optim.rate_factors"):
            check_pattern(pattern, params)


def check_statistics(
    config: Config, model: nn.Module, layout: Layout, variables: Any, shape: tuple[int, int, int]
) -> None:
    """Refuses micro-batches that leave BatchNorm one value a channel, by the shapes of a forward pass of training.

    Raises:
      ConfigError: naming the key that makes them so small, and the shape; or a layer that sees no whole batch.
    """
    parts = config.parallel.accumulate
    images = jax.ShapeDtypeStruct((config.data.batch_size // parts, *shape), jnp.float32)
    key, context = jax.random.key(0), step_context(config.model, batch=None)  # of all rows: no axis is bound here
    with (
        named("model"),
        ops.context(context),
        frozen_batch_norm(phases(config, MOST_STEPS)[-1].freeze),  # when most layers move
        refuse_partial_batches(layout.batch, parts),
    ):
        try:
            jax.eval_shape(
                lambda variables, images: model.apply(
                    variables, images, train=True, mutable=["batch_stats", "features"], rngs={"dropout": key}
                ),
                variables,
                images,
            )
        except StatisticsError as error:
            many = "parallel.accumulate" if config.parallel.accumulate > 1 else "data.batch_size"
            too_small = many if config.model.ghost_batch is None else "model.ghost_batch"
            raise ConfigError(f"`{too_small}`: {error}") from error


def check_rows(functions: Mapping[str, Loss], key: str, num_classes: int, *, mixed: bool = False) -> None:
    """Refuses functions that do not give a number for each row of the logits.

    Args:
      mixed: whether their targets are rows of shares, as mixing makes them, and not labels.

    Raises:
      ConfigError: naming the key.
    """
    logits = jax.ShapeDtypeStruct((4, num_classes), jnp.float32)
    targets = logits if mixed else jax.ShapeDtypeStruct((4,), jnp.int32)
    for name, function in functions.items():
        with named(key):
            given = "float [b, k] as mixing makes them" if mixed else "labels, int [b]"
            given = f"It is given logits, float [b, k], and targets, {given}; k is {num_classes} here."
            try:
                rows = jax.eval_shape(function, logits, targets)
            except (TypeError, ValueError, AttributeError) as error:
                raise ValueError(f"{name}: {str(error).rstrip('.')}. {given}") from error
            if getattr(rows, "shape", None) != (4,):
                found = getattr(rows, "shape", type(rows).__name__)
                raise ValueError(
                    f"{name} must give one number for each row of the logits, an array of shape (4,) for four; it "
                    f"gives {found}. {given}"
                )


def check_loss(config: Config, loss: Loss, num_classes: int) -> None:
    """Refuses a loss that does not give a number a row, and smoothing that it does not take.

    Raises:
      ConfigError: naming the key.
    """
    name, smoothing = named_parts(config)["train.loss"], config.optim.label_smoothing
    if smoothing and "label_smoothing" not in getattr(loss, "keywords", {}):
        raise ConfigError(
            f"`optim.label_smoothing` is {smoothing}: `{name}` takes no `label_smoothing`, so it has no effect; leave "
            "it out, or give the loss that parameter."
        )
    check_rows({name: loss}, "train.loss", num_classes, mixed=bool(config.data.mix))
