"""The pure steps, against the same computation written out plainly."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

from cnn_jax.config import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
from cnn_jax.data import eval_batches, standardize, train_batches
from cnn_jax.runs.session import open_session

CONFIG = Config(
    model=ModelConfig("lenet5", conv="xla"),
    data=DataConfig("digits", batch_size=32, augment=("resize(28)",), eval_augment=("resize(28)",)),
    optim=OptimConfig("sgd", {"momentum": 0.0}, learning_rate=0.8, schedule="constant", weight_decay=0.01),
    train=TrainConfig(steps=10),
)


def session_of(**changes):
    return open_session(dataclasses.replace(CONFIG, optim=dataclasses.replace(CONFIG.optim, **changes)))


def first_batch(session):
    return next(train_batches(session.dataset("train"), 32, seed=0))


@pytest.mark.parametrize("smoothing", [pytest.param(0.0, marks=pytest.mark.slow), 0.1])
def test_train_step_is_one_step_of_gradient_descent(smoothing):
    session = session_of(label_smoothing=smoothing)
    state, batch = session.drawn_state(), first_batch(session)
    after, metrics = jax.jit(session.train_step)(state, batch)

    def loss_of(params):
        logits = session.logits({"params": params}, batch["image"])
        target = (1 - smoothing) * jax.nn.one_hot(batch["label"], 10) + smoothing / 10
        return -(target * jax.nn.log_softmax(logits)).sum(1).mean()

    loss, gradients = jax.jit(jax.value_and_grad(loss_of))(state.params)
    rate = 0.8 * 32 / 256
    for (path, new), old, g in zip(
        jax.tree.leaves_with_path(after.params), jax.tree.leaves(state.params), jax.tree.leaves(gradients), strict=True
    ):
        decay = 0.01 * old if path[-1].key == "kernel" else 0.0
        np.testing.assert_allclose(new, old - rate * (g + decay), atol=1e-6, err_msg=jax.tree_util.keystr(path))
    values = metrics.compute()
    assert float(values["loss"]) == pytest.approx(float(loss), rel=1e-5)
    assert float(values["grad_norm"]) == pytest.approx(float(optax.tree.norm(gradients)), rel=1e-4)
    assert float(values["learning_rate"]) == pytest.approx(rate)
    assert int(after.step) == 1


@pytest.mark.parametrize("interpolation", ["bilinear", pytest.param("bicubic", marks=pytest.mark.slow)])
def test_images_held_as_arrays_are_scaled_in_the_steps_as_the_data_section_says(interpolation):
    data = dataclasses.replace(CONFIG.data, interpolation=interpolation)
    session = open_session(dataclasses.replace(CONFIG, data=data))
    state, batch = session.drawn_state(), first_batch(session)
    filtering = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    pictures = [Image.fromarray(image[..., 0].astype(np.float32)) for image in batch["image"]]
    scaled = np.stack([np.asarray(p.resize((28, 28), filtering)) for p in pictures]).clip(0, 255)[..., None]
    images = standardize(jnp.asarray(scaled), session.info.mean, session.info.std)
    evaluated = jax.jit(lambda params, images: session.model.apply({"params": params}, images, train=False))
    expected = evaluated(state.params, images)
    logits = jax.jit(session.logits)({"params": state.params}, batch["image"])
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    _, metrics = jax.jit(session.train_step)(state, batch)
    loss = optax.softmax_cross_entropy_with_integer_labels(expected, batch["label"]).mean()
    assert float(metrics.compute()["loss"]) == pytest.approx(float(loss), rel=1e-5)


def assert_pure(step, state, batch):
    """Traced twice it is the same program, which gives the same twice and leaves its arguments as they were."""
    before = jax.tree.map(np.array, (state, batch))
    # A function of its own each time: jax.jit traces one and the same function once.
    traced = [jax.jit(lambda state, batch: step(state, batch)).lower(state, batch) for _ in range(2)]
    assert traced[0].as_text() == traced[1].as_text()
    compiled = traced[0].compile()
    results = [compiled(state, batch) for _ in range(2)]
    jax.tree.map(np.testing.assert_array_equal, *results)
    jax.tree.map(np.testing.assert_array_equal, (state, batch), before)


def test_train_step_is_pure():
    session = session_of()
    assert_pure(session.train_step, session.drawn_state(), first_batch(session))


def test_a_step_that_draws_or_counts_as_it_is_traced_is_not_pure():
    calls, random = itertools.count(), np.random.default_rng()
    for step in (lambda state, batch: state + next(calls), lambda state, batch: state + random.normal()):
        with pytest.raises(AssertionError, match="module @jit"):  # the traced programs differ
            assert_pure(step, np.float32(1), np.float32(0))


def test_dropout_differs_from_step_to_step_and_from_seed_to_seed():
    model = ModelConfig("lenet5", options={"dropout": 0.5}, conv="xla")
    config = dataclasses.replace(CONFIG, model=model)
    sessions = [open_session(dataclasses.replace(config, seed=seed)) for seed in (0, 1)]
    state, batch = sessions[0].drawn_state(), first_batch(sessions[0])
    first, later = (dataclasses.replace(state, step=jnp.int32(k)) for k in (0, 1))
    losses = [float(jax.jit(s.train_step)(st, batch)[1].loss.total) for s in sessions for st in (first, later)]
    assert len(set(losses)) == 4


def test_eval_step_ignores_masked_rows():
    session = session_of()
    variables = session.drawn_state().eval_variables
    step = jax.jit(session.eval_step)
    batch = next(eval_batches(session.dataset("test"), 32))
    half = np.arange(32) < 16
    masked, _ = step(variables, batch | {"mask": half})
    garbled = batch | {"mask": half, "image": np.where(half[:, None, None, None], batch["image"], 255)}
    for a, b in zip(jax.tree.leaves(masked), jax.tree.leaves(step(variables, garbled)[0]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(masked.top1.count) == 16


@pytest.mark.slow
def test_float64_keeps_everything_in_float64():
    with jax.enable_x64(True):
        session = open_session(dataclasses.replace(CONFIG, model=ModelConfig("lenet5", dtype="float64", conv="xla")))
        state = session.drawn_state()
        after, metrics = jax.jit(session.train_step)(state, first_batch(session))
        kinds = {
            x.dtype for x in jax.tree.leaves((after.params, after.opt_state)) if jnp.issubdtype(x.dtype, jnp.floating)
        }
        assert kinds == {jnp.dtype("float64")}
        assert metrics.loss.total.dtype == jnp.float64
