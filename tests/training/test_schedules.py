"""Schedules against their formulas; Optax's and one's own by the same rule."""

import math
from functools import partial

import optax
import pytest

from cnn_jax.training.schedules import SCHEDULES, make_schedule


def rate(part, warmup_steps=0, steps=100, peak=0.1, **arguments):
    part = SCHEDULES[part] if isinstance(part, str) else part
    return make_schedule(part, arguments, "mine", peak=peak, steps=steps, warmup_steps=warmup_steps)


def halving(fraction, base=0.5):
    return base ** (4 * fraction)


def by_step(step, peak):
    return peak / (1 + step)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (rate("constant"), lambda t: 0.1),
        (rate("cosine"), lambda t: 0.05 * (1 + math.cos(math.pi * t / 100))),
        (rate("cosine", 20), lambda t: 0.1 * t / 20 if t < 20 else 0.05 * (1 + math.cos(math.pi * (t - 20) / 80))),
        (rate("step"), lambda t: 0.1 * 0.1 ** ((t > 50) + (t > 75))),
        (rate("step", 10, fractions=(0.3,), factor=0.5), lambda t: 0.1 * t / 10 if t < 10 else 0.1 * 0.5 ** (t > 30)),
        (rate(optax.linear_schedule, 20, end_value=0.02), lambda t: t / 200 if t < 20 else 0.1 - 0.08 * (t - 20) / 80),
        (rate(optax.exponential_decay, decay_rate=0.5), lambda t: 0.1 * 0.5 ** (t / 100)),
        (
            rate(optax.warmup_cosine_decay_schedule, 20),
            lambda t: 0.1 * t / 20 if t < 20 else 0.05 * (1 + math.cos(math.pi * (t - 20) / 80)),
        ),
        (rate(halving), lambda t: 0.1 * 0.5 ** (t / 25)),
        (rate(halving, 20, base=0.25), lambda t: t / 200 if t < 20 else 0.1 * 0.25 ** ((t - 20) / 20)),
        (rate(by_step), lambda t: 0.1 / (1 + t)),
    ],
    ids=[
        *("constant", "cosine", "cosine_after_warmup", "step", "step_after_warmup"),
        *("optax_linear", "optax_exponential", "optax_that_warms_up", "fraction", "fraction_after_warmup", "by_step"),
    ],
)
def test_schedule_equals_its_formula(found, expected):
    # The step at a drop itself is left out: whether it takes the old or the new rate is Optax's convention.
    for t in set(range(0, 100, 3)) - {30, 50, 75}:
        assert float(found.at(t)) == pytest.approx(expected(t), rel=1e-5, abs=1e-8), t  # float32 cosine


def test_only_a_constant_rate_is_called_constant():
    assert rate("constant").constant and rate("constant", 10).constant
    assert not any(rate(part).constant for part in ("cosine", "step", halving, by_step))


def test_drops_that_fall_on_one_step_multiply():
    found = rate("step", steps=10, peak=1.0, fractions=(0.5, 0.52, 0.54))
    assert [round(float(found.at(step)), 6) for step in (4, 9)] == [1.0, 0.001]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(rate, "cosine", fractions=(0.5,)), "mine takes no `fractions`. Valid: alpha, exponent"),
        (partial(rate, "cosine", alpah=0.5), "Did you mean `alpha`?"),
        (partial(rate, "constant", value=1.0), "is given its `value` by the trainer"),
        (partial(rate, "step", fractions=(0.7, 0.5)), r"`fractions` is \(0.7, 0.5\): they must rise"),
        (partial(rate, "step", fractions=()), "there must be one"),
        (partial(rate, "step", factor=1.0), "`factor` is 1.0: the rate is multiplied by it"),
        (partial(rate, "step", factor="0.1"), "`factor` of mine is '0.1': give a value as its 0.1 is"),
        (partial(rate, by_step, 10), "the warm-up stands in it, too"),
        (partial(rate, optax.exponential_decay), "mine needs `decay_rate`"),
        (partial(rate, lambda peak: peak), "mine must return a function of the step"),
    ],
    ids=["unused", "misspelt", "given", "falling", "none", "no_effect", "text", "warm_up", "needed", "no_function"],
)
def test_a_schedule_that_cannot_be_made_says_why(make, message):
    with pytest.raises(ValueError, match=message.replace("`?", "`\\?")):
        make()
