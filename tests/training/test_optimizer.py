"""Optimisers against their formulas, step by step in NumPy."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.config import reference
from cnn_jax.training.freeze import Phase
from cnn_jax.training.optimizer import OPTIMIZERS, kernel_as_matrix, make_optimizer, optimizer_arguments
from cnn_jax.training.schedule_free import evaluated_params
from cnn_jax.training.schedules import SCHEDULES, make_schedule

PARAMS = {"conv": {"kernel": np.array([0.5, -1.0]), "bias": np.array([0.3])}, "norm": {"scale": np.array([1.0])}}
GRADS = [
    {"conv": {"kernel": np.array([1.0, k]), "bias": np.array([-k])}, "norm": {"scale": np.array([k])}}
    for k in (0.5, 2.0, -1.0)
]


def optimizer_of(part, arguments=None, *, schedule="constant", warmup_steps=0, weight_decay=0.01, **options):
    rate = make_schedule(SCHEDULES[schedule], {}, schedule, peak=0.1, steps=100, warmup_steps=warmup_steps)
    part = OPTIMIZERS[part] if isinstance(part, str) else part
    return make_optimizer(part, arguments or {}, "mine", rate=rate, weight_decay=weight_decay, **options)


def run_ours(*args, **options):
    optimizer = optimizer_of(*args, **options)
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

    assert_equal(run_ours("sgd"), run_numpy(update))


def test_sgd_without_nesterov_is_heavy_ball():
    def update(p, g, memory, decayed, t):
        memory["v"] = 0.8 * memory.get("v", 0) + g
        return p - 0.1 * memory["v"]

    found = run_ours("sgd", {"momentum": 0.8, "nesterov": False}, weight_decay=0.0)
    assert_equal(found, run_numpy(update))


def test_adamw_decouples_the_decay():
    def update(p, g, memory, decayed, t):
        memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
        memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g**2
        step = memory["m"] / (1 - 0.9**t) / (np.sqrt(memory["v"] / (1 - 0.999**t)) + 1e-8)
        return p - 0.1 * (step + 0.01 * p * decayed)

    assert_equal(run_ours("adamw"), run_numpy(update))


def test_lamb_scales_each_step_to_the_norm_of_its_array():
    def update(p, g, memory, decayed, t):
        memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
        memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g**2
        step = memory["m"] / (1 - 0.9**t) / (np.sqrt(memory["v"] / (1 - 0.999**t)) + 1e-6) + decayed * 0.01 * p
        return p - 0.1 * step * np.linalg.norm(p) / np.linalg.norm(step)

    assert_equal(run_ours("lamb"), run_numpy(update))


def test_clipping_scales_the_whole_gradient():
    def update(p, g, memory, decayed, t):
        gradient = GRADS[t - 1]
        norm = np.sqrt(sum((v**2).sum() for d in gradient.values() for v in d.values()))
        return p - 0.1 * g * min(1, 1 / norm)

    assert_equal(run_ours("sgd", {"momentum": 0.0}, weight_decay=0.0, clip_norm=1.0), run_numpy(update))


def test_a_decay_without_a_mask_of_its_own_stands_in_front_and_theirs_is_nought():
    def update(p, g, memory, decayed, t):
        return p - 0.1 * (g + 0.01 * p * decayed)

    def theirs(learning_rate, weight_decay=5.0):
        return optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(learning_rate))

    for part in (optax.sgd, theirs):
        assert_equal(run_ours(part), run_numpy(update))


@pytest.mark.parametrize("mask", ["mask", "weight_decay_mask"])
def test_a_decay_with_a_mask_is_theirs(mask):
    def update(p, g, memory, decayed, t):
        return p - 0.1 * g - 0.01 * p * decayed

    def make(learning_rate, weight_decay, mask):
        return optax.chain(optax.sgd(learning_rate), optax.add_decayed_weights(-weight_decay, mask))

    def theirs(learning_rate, weight_decay, weight_decay_mask):
        return make(learning_rate, weight_decay, weight_decay_mask)

    assert_equal(run_ours(make if mask == "mask" else theirs), run_numpy(update))


def takes_a_number(learning_rate: float):
    return optax.sgd(learning_rate + 0)


def takes_a_number_and_a_warmup(learning_rate: float, warmup_steps: int | None = None):
    assert warmup_steps in (None, 10)
    return optax.sgd(learning_rate + 0)


def test_a_constructor_that_takes_a_number_gets_the_peak():
    def update(p, g, memory, decayed, t):
        return p - 0.1 * g

    assert_equal(run_ours(takes_a_number, weight_decay=0.0), run_numpy(update))
    assert_equal(run_ours(takes_a_number_and_a_warmup, weight_decay=0.0, warmup_steps=10), run_numpy(update))


@pytest.mark.parametrize(
    ("part", "arguments", "options", "message"),
    [
        ("sgd", {"b1": 0.9}, {}, "mine takes no `b1`. Valid: momentum, nesterov"),
        ("adamw", {"momentum": 0.9}, {}, "mine takes no `momentum`"),
        ("adamw", {"learning_rate": 0.9}, {}, "is given its `learning_rate` by the trainer"),
        ("sgd", {"nesterov": 1}, {}, "`nesterov` of mine is 1: give a value as its True is"),
        (takes_a_number, {}, {"schedule": "cosine"}, "set `optim.schedule` to constant"),
        (takes_a_number, {}, {"warmup_steps": 10}, "`optim.warmup_fraction` to 0"),
        (takes_a_number_and_a_warmup, {}, {"schedule": "cosine"}, "set `optim.schedule` to constant"),
        (optax.scale_by_adam, {}, {}, "mine takes no `learning_rate`"),
        (optax.contrib.schedule_free, {}, {}, "mine needs `base_optimizer`"),
        (optax.contrib.dpsgd, {"l2_norm_clip": 1.0, "noise_multiplier": 1.0, "seed": 0}, {}, "one for each example"),
        (lambda learning_rate: learning_rate, {}, {}, "must return an optax.GradientTransformation"),
        (optax.contrib.galore, {"rank": 0}, {}, "mine: `rank` must be positive"),
    ],
)
def test_an_optimiser_that_cannot_be_made_says_why(part, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        optimizer_of(part, arguments, **options)


def test_the_defaults_of_ours_stand_in_the_identitys_tables():
    """Where Optax changes one, it must become an argument here: experiments would change under one name."""
    for name, part in OPTIMIZERS.items():
        assert optimizer_arguments(part) == reference.OPTIMIZERS[name]


def test_arguments_of_its_own_are_literals_that_the_trainer_does_not_give():
    assert optimizer_arguments(optax.lion) == {"b1": 0.9, "b2": 0.99, "mu_dtype": None}
    assert "linesearch" not in optimizer_arguments(optax.lbfgs)


def test_muon_takes_a_convolution_as_a_matrix_of_outputs_by_their_inputs():
    params = {"conv": {"kernel": jnp.zeros((3, 3, 8, 16)), "bias": jnp.zeros(16)}}
    assert kernel_as_matrix(params)["conv"] == {"kernel": ((0, 1, 2), 3), "bias": None}


@pytest.mark.parametrize("freeze", [None, "norm"])
def test_a_schedule_free_optimiser_is_evaluated_at_its_average(freeze):
    optimizer = optimizer_of(optax.contrib.schedule_free_sgd, {"b1": 0.8}, parts=[Phase(0, freeze)])
    params = {m: {k: jnp.asarray(v, jnp.float32) for k, v in d.items()} for m, d in PARAMS.items()}
    state = optimizer.init(params)
    for _ in range(3):
        gradients = {m: {k: jnp.ones_like(v) for k, v in d.items()} for m, d in params.items()}
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
    found = evaluated_params(state, params)
    assert float(abs(found["conv"]["kernel"] - params["conv"]["kernel"]).max()) > 1e-3
    np.testing.assert_array_equal(found["norm"]["scale"] == params["norm"]["scale"], freeze is not None)
    assert evaluated_params(optax.sgd(0.1).init(params), params) is params
