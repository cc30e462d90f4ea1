"""The optimiser, composed from Optax: clipping, weight decay, the one that was named, and what is frozen."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import optax
import optax.contrib

from cnn_jax.signatures import call, own_arguments, parameters
from cnn_jax.training.freeze import Phase, begin_by_phase, freeze_updates, matching
from cnn_jax.training.schedules import LearningRate


def sgd(
    learning_rate: optax.ScalarOrSchedule, momentum: float = 0.9, nesterov: bool = True
) -> optax.GradientTransformation:
    """Stochastic gradient descent (0.9: Krizhevsky et al. 2012, section 5); without momentum it keeps no state."""
    return optax.sgd(learning_rate, momentum or None, nesterov)


# SGD's decay comes before the momentum, as in Krizhevsky et al. 2012 (section 5) and PyTorch; AdamW takes it apart from
# the gradient (Loshchilov and Hutter 2019), times the rate. LAMB (You et al. 2020, algorithm 2) is AdamW with every
# array's step scaled to that array's norm: for large batches.
OPTIMIZERS: dict[str, Callable[..., Any]] = {"sgd": sgd, "adamw": optax.adamw, "lamb": optax.lamb}

_MASKS = ("mask", "weight_decay_mask")
_RATES = ("learning_rate", "max_learning_rate")
# What the trainer gives to an optimiser that asks for it.
_OFFERED = {*_RATES, *_MASKS, "weight_decay", "warmup_steps", "muon_weight_dimension_numbers", "key"}


def is_kernel(params: optax.Params) -> optax.Params:
    """True where weight decay applies: kernels, not biases or scales (He et al. 2018, section 3.1)."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


def decayed(which: str) -> Callable[[optax.Params], optax.Params]:
    """The mask of what decays: "kernels", "all", or a regular expression for the beginning of parameters' names."""
    if which == "kernels":
        return is_kernel
    return functools.partial(matching, "" if which == "all" else which)


def make_optimizer(
    part: Callable[..., Any],
    arguments: Mapping[str, Any],
    what: str,
    *,
    rate: LearningRate,
    weight_decay: float,
    decays: Callable[[optax.Params], optax.Params] = is_kernel,
    clip_norm: float | None = None,
    factors: Sequence[tuple[str, float]] = (),
    parts: Sequence[Phase] = (Phase(0, None),),
    now: int = 0,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Gradient clipping, then weight decay, then the optimiser at this rate, for what is not frozen.

    What begins to move later has an optimiser of its own that begins then, at the run's rate.

    Where the optimiser takes a weight decay and a mask for it, it decays by its own rule; else the decay is added to
    the gradient before it.

    Args:
      part: a constructor, as `cnn_jax.names` describes it.
      arguments: of its own.
      what: its name, for the messages.
      decays: gives the mask of what decays.
      clip_norm: the largest global norm of the gradient.
      factors: (pattern, factor) for the steps of the parameters whose names begin so; the first that fits counts.
      parts: of the run, by what stands still; see `cnn_jax.training.freeze`.
      now: the number of the part that it is for; the shape of the state is that of all.
      seed: of the noise of optimisers that add some.

    Raises:
      ValueError: when the arguments do not fit, when it takes no learning rate, or a constant one and gets another.
    """
    if part is optax.contrib.dpsgd:
        raise ValueError(f"{what} needs gradients, one for each example, and is given their mean; it cannot be used.")
    takes = parameters(part)
    clip = [] if clip_norm is None else [optax.clip_by_global_norm(clip_norm)]
    inside = "weight_decay" in takes and any(mask in takes for mask in _MASKS)
    before = [] if inside else [optax.add_decayed_weights(weight_decay, decays)]

    def from_step(first: int) -> list[optax.GradientTransformation]:
        begins = dataclasses.replace(rate, at=lambda step: rate.at(step + first)) if first else rate
        optimizer = call(
            part,
            arguments,
            what,
            **_learning_rate(part, what, begins),
            weight_decay=weight_decay if inside else 0.0,
            **dict.fromkeys(_MASKS, decays),
            warmup_steps=rate.warmup_steps or None,
            muon_weight_dimension_numbers=kernel_as_matrix,
            key=seed,
        )
        if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
            raise ValueError(f"{what} must return an optax.GradientTransformation, got {optimizer!r}.")
        return [*before, optimizer]

    if len(parts) == 1:
        whole = freeze_updates(optax.chain(*clip, *from_step(0)), parts[0].freeze)
    else:  # the norm is that of all that move
        whole = optax.chain(*clip, begin_by_phase(lambda first: optax.chain(*from_step(first)), parts, now))
    return optax.with_extra_args_support(optax.chain(whole, _scaled(factors)) if factors else whole)


def _scaled(factors: Sequence[tuple[str, float]]) -> optax.GradientTransformation:
    """Steps multiplied by factors that depend on the parameters' names."""

    def scale(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
        fits = [(matching(pattern, updates), factor) for pattern, factor in factors]
        factor_of = jax.tree.map(lambda _: 1.0, updates)
        for fitting, factor in reversed(fits):
            factor_of = jax.tree.map(lambda is_so, now, new=factor: new if is_so else now, fitting, factor_of)
        return jax.tree.map(lambda update, factor: update * factor, updates, factor_of)

    return optax.stateless(scale)


def optimizer_arguments(part: Callable[..., Any]) -> dict[str, Any]:
    """What an optimiser takes beside what the trainer gives it, by name, with the values that it has by default."""
    return own_arguments(part, _OFFERED)


def _learning_rate(part: Callable[..., Any], what: str, rate: LearningRate) -> dict[str, Any]:
    """The rate under the name and of the kind that the constructor takes."""
    takes = parameters(part)
    name = next((name for name in _RATES if name in takes), None)
    if name is None:
        raise ValueError(f"{what} takes no `learning_rate`; name a constructor that does.")
    kind = takes[name].annotation
    if kind in (inspect.Parameter.empty, Any) or any(word in str(kind) for word in ("Callable", "Schedule")):
        return {name: rate.at}
    if not rate.constant or (rate.warmup_steps and "warmup_steps" not in takes):
        raise ValueError(
            f"{what} takes one learning rate for the whole run, so that another schedule, or a warm-up, would have no "
            "effect: set `optim.schedule` to constant, and `optim.warmup_fraction` to 0."
        )
    return {name: rate.peak}


def kernel_as_matrix(params: optax.Params) -> Any:
    """For Muon: kernels as matrices from all inputs of an output to the outputs, nothing else (Jordan et al. 2024)."""

    def dimensions(path: Any, leaf: jax.Array) -> Any:
        if path[-1].key != "kernel":
            return None
        return optax.contrib.MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)

    return jax.tree_util.tree_map_with_path(dimensions, params)
