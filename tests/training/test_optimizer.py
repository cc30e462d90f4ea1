"""Schedules and optimisers against their formulas, step by step in NumPy."""

import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.config import Config, DataConfig, OptimConfig, TrainConfig
from cnn_jax.runs.derive import derive
from cnn_jax.training.optimizer import make_optimizer, make_schedule


def schedule_of(optim, batch_size=256, steps=100):
    config = Config(optim=optim, data=DataConfig(batch_size=batch_size), train=TrainConfig(steps=steps))
    derived = derive(config, num_examples=1000, num_classes=10, num_devices=1)
    return make_schedule(optim, derived.learning_rate, derived.steps, derived.warmup_steps)


@pytest.mark.parametrize(
    ("optim", "expected"),
    [
        (OptimConfig(schedule="constant"), lambda t: 0.1),
        (OptimConfig(schedule="cosine"), lambda t: 0.05 * (1 + math.cos(math.pi * t / 100))),
        (
            OptimConfig(schedule="cosine", warmup_fraction=0.2),
            lambda t: 0.1 * t / 20 if t < 20 else 0.05 * (1 + math.cos(math.pi * (t - 20) / 80)),
        ),
        (OptimConfig(schedule="step"), lambda t: 0.1 * 0.1 ** ((t > 50) + (t > 75))),
        (
            OptimConfig(schedule="step", warmup_fraction=0.1, step_fractions=(0.3,), step_factor=0.5),
            lambda t: 0.1 * t / 10 if t < 10 else 0.1 * 0.5 ** (t > 30),
        ),
    ],
    ids=["constant", "cosine", "cosine_after_warmup", "step", "step_after_warmup"],
)
def test_schedule_equals_its_formula(optim, expected):
    schedule = schedule_of(optim)
    # The step at a drop itself is left out: whether it takes the old or the new rate is Optax's convention.
    for t in set(range(100)) - {30, 50, 75}:
        assert float(schedule(t)) == pytest.approx(expected(t), rel=1e-5, abs=1e-8), t  # float32 cosine


def test_learning_rate_scales_with_the_batch():
    assert float(schedule_of(OptimConfig(learning_rate=0.1, schedule="constant"), 64)(0)) == pytest.approx(0.1 / 4)


PARAMS = {"conv": {"kernel": np.array([0.5, -1.0]), "bias": np.array([0.3])}, "norm": {"scale": np.array([1.0])}}
GRADS = [
    {"conv": {"kernel": np.array([1.0, k]), "bias": np.array([-k])}, "norm": {"scale": np.array([k])}}
    for k in (0.5, 2.0, -1.0)
]


def run_ours(optim):
    optimizer = make_optimizer(optim, schedule_of(optim))
    params = {m: {k: jnp.asarray(v, jnp.float32) for k, v in d.items()} for m, d in PARAMS.items()}
    state = optimizer.init(params)
    for g in GRADS:
        updates, state = optimizer.update(
            {m: {k: jnp.asarray(v, jnp.float32) for k, v in d.items()} for m, d in g.items()}, state, params
        )
        params = optax.apply_updates(params, updates)
    return params


def run_numpy(update):
    """Applies `update(p, g, memory, decayed, t)` to every leaf."""
    result = {}
    for module, leaves in PARAMS.items():
        for name, p in leaves.items():
            p, memory = p.copy(), {}
            for t, g in enumerate(GRADS, 1):
                p = update(p, g[module][name], memory, name == "kernel", t)
            result[module, name] = p
    return result


def assert_equal(ours, reference):
    for (module, name), expected in reference.items():
        np.testing.assert_allclose(ours[module][name], expected, rtol=1e-4)  # float32; 1 - 0.999^t keeps four digits


def test_sgd_is_nesterov_momentum_with_decay_on_kernels_only():
    def update(p, g, memory, decayed, t):
        g = g + 0.01 * p * decayed
        memory["v"] = 0.9 * memory.get("v", 0) + g
        return p - 0.1 * (g + 0.9 * memory["v"])

    assert_equal(run_ours(OptimConfig(schedule="constant", weight_decay=0.01)), run_numpy(update))


def test_sgd_without_nesterov_is_heavy_ball():
    def update(p, g, memory, decayed, t):
        memory["v"] = 0.8 * memory.get("v", 0) + g
        return p - 0.1 * memory["v"]

    optim = OptimConfig(schedule="constant", weight_decay=0.0, momentum=0.8, nesterov=False)
    assert_equal(run_ours(optim), run_numpy(update))


def test_adamw_decouples_the_decay():
    def update(p, g, memory, decayed, t):
        memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
        memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g**2
        step = memory["m"] / (1 - 0.9**t) / (np.sqrt(memory["v"] / (1 - 0.999**t)) + 1e-8)
        return p - 0.1 * (step + 0.01 * p * decayed)

    assert_equal(run_ours(OptimConfig("adamw", schedule="constant", weight_decay=0.01)), run_numpy(update))


def test_lamb_scales_each_step_to_the_norm_of_its_array():
    def update(p, g, memory, decayed, t):
        memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
        memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g**2
        step = memory["m"] / (1 - 0.9**t) / (np.sqrt(memory["v"] / (1 - 0.999**t)) + 1e-6) + decayed * 0.01 * p
        return p - 0.1 * step * np.linalg.norm(p) / np.linalg.norm(step)

    assert_equal(run_ours(OptimConfig("lamb", schedule="constant", weight_decay=0.01)), run_numpy(update))


def test_clipping_scales_the_whole_gradient():
    def update(p, g, memory, decayed, t):
        gradient = GRADS[t - 1]
        norm = np.sqrt(sum((v**2).sum() for d in gradient.values() for v in d.values()))
        return p - 0.1 * g * min(1, 1 / norm)

    optim = OptimConfig(schedule="constant", weight_decay=0.0, momentum=0.0, nesterov=False, clip_norm=1.0)
    assert_equal(run_ours(optim), run_numpy(update))


def test_drops_that_fall_on_one_step_multiply():
    optim = OptimConfig(schedule="step", step_fractions=(0.5, 0.52, 0.54), step_factor=0.1)
    rate = make_schedule(optim, 1.0, 10, 0)
    assert [round(float(rate(step)), 6) for step in (4, 9)] == [1.0, 0.001]
