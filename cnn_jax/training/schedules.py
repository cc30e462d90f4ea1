"""Learning-rate schedules: ours, any of Optax's, or a function of the fraction of the run, or of the step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array

from cnn_jax.signatures import bind, call, parameters


@dataclass(frozen=True)
class LearningRate:
    """The rate of every step, and what an optimiser may ask about it."""

    at: Callable[[Array | int], Array]
    """By the step, from 0."""
    peak: float
    """After the warm-up."""
    warmup_steps: int
    constant: bool
    """Whether it stays at the peak after the warm-up."""


def step(
    peak_value: float,
    total_steps: int,
    first_step: int,
    fractions: tuple[float, ...] = (0.5, 0.75),
    factor: float = 0.1,
) -> optax.Schedule:
    """The peak, multiplied by a factor at some fractions of the whole run.

    Args:
      total_steps: of the run.
      first_step: of the run, from which this schedule counts: that after the warm-up.
      fractions, factor: where the rate drops, and by what (He et al. 2015, section 4.2: 32k and 48k of 64k steps).

    Raises:
      ValueError: for fractions that do not rise from 0 to 1, or a factor that is not positive, or has no effect.
    """
    if not fractions or list(fractions) != sorted(set(fractions)) or not all(0 < f < 1 for f in fractions):
        raise ValueError(f"`fractions` is {fractions}: they must rise, each between 0 and 1, and there must be one.")
    if not factor > 0 or factor == 1:
        raise ValueError(
            f"`factor` is {factor}: the rate is multiplied by it; it must be positive, and 1 has no effect."
        )
    # In a short run several may fall on one step, where their factors multiply.
    drops: dict[int, float] = {}
    for fraction in fractions:
        at = round(fraction * total_steps) - first_step
        drops[at] = drops.get(at, 1.0) * factor
    return optax.piecewise_constant_schedule(peak_value, drops)


SCHEDULES: dict[str, Callable[..., Any]] = {
    "constant": optax.constant_schedule,
    # Loshchilov and Hutter 2017, equation 5, one period: zero at the end of the run.
    "cosine": optax.cosine_decay_schedule,
    "step": step,
}


def make_schedule(
    part: Callable[..., Any], arguments: Mapping[str, Any], what: str, *, peak: float, steps: int, warmup_steps: int
) -> LearningRate:
    """The learning rate as a function of the step: a linear warm-up from zero, then the schedule.

    Args:
      part: a schedule, as `cnn_jax.names` describes it.
      arguments: of its own.
      what: its name, for the messages.
      peak: the rate after the warm-up.
      steps: of the whole run.
      warmup_steps: those of them that warm up.

    Raises:
      ValueError: when the arguments do not fit, or the warm-up would have no effect.
    """
    takes, after = parameters(part), max(1, steps - warmup_steps)
    if "step" in takes:
        if warmup_steps:
            raise ValueError(f"{what} gives the rate by the step, so that the warm-up stands in it, too.")
        rate = bind(part, arguments, what, step=None, peak=peak, learning_rate=peak, steps=steps)
        return LearningRate(lambda t: rate(step=t), peak, 0, constant=False)
    if "fraction" in takes:
        share = bind(part, arguments, what, fraction=None)
        schedule: Callable[[Any], Any] = lambda t: peak * share(fraction=jnp.minimum(t / after, 1.0))  # noqa: E731
    else:
        itself = "warmup_steps" in takes
        after = steps if itself else after
        # Where there is a peak beside it, it is what a warm-up begins at: zero, or as the arguments say.
        first = {"init_value": peak}
        if itself and "peak_value" in takes:
            first = {} if "init_value" in arguments else {"init_value": 0.0}
        schedule = call(
            part,
            arguments,
            what,
            **dict.fromkeys(("learning_rate", "peak", "peak_value", "value"), peak),
            **first,
            **dict.fromkeys(("steps", "decay_steps", "transition_steps"), after),
            total_steps=steps,
            first_step=warmup_steps,
            warmup_steps=warmup_steps,
        )
        if not callable(schedule):
            raise ValueError(f"{what} must return a function of the step, got {schedule!r}.")
        if itself:
            return LearningRate(schedule, peak, warmup_steps, constant=False)
    constant = part is optax.constant_schedule
    if warmup_steps:
        schedule = optax.join_schedules([optax.linear_schedule(0.0, peak, warmup_steps), schedule], [warmup_steps])
    return LearningRate(schedule, peak, warmup_steps, constant)
