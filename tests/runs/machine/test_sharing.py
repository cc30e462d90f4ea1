"""Runs of a study share what does not depend on their seeds, and nothing else."""

import dataclasses

import jax
import numpy as np
import pytest

from cnn_jax.config import Config, DataConfig, ModelConfig, OptimConfig, SeedsConfig, TrainConfig
from cnn_jax.runs.machine.sharing import shared_programs
from cnn_jax.runs.session import open_session

CONFIG = Config(
    model=ModelConfig("lenet5", options={"dropout": 0.5}, conv="xla"),
    data=DataConfig("digits", batch_size=8, augment=("resize(28)", "pad_crop(3)"), eval_augment=("resize(28)",)),
    train=TrainConfig(steps=2),
)


def after_a_step(config):
    session = open_session(config)
    batch = session.layout.put(next(session.training_batches(0)))
    carry, _ = session.compile_train_step()(session.carry(session.drawn_state()), batch)
    return jax.device_get(carry["state"])


def test_a_run_with_the_programs_of_another_has_its_own_bits():
    config = dataclasses.replace(CONFIG, seed=1)
    alone = after_a_step(config)
    with shared_programs():
        other = after_a_step(CONFIG)
        shared = after_a_step(config)
    for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(shared), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(other), jax.tree.leaves(shared), strict=True))


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ({"seed": 1}, True),
        ({"seeds": SeedsConfig(init=3, augment=4, dropout=5)}, True),
        ({"optim": OptimConfig(learning_rate=0.3)}, False),
        ({"model": dataclasses.replace(CONFIG.model, options={"dropout": 0.4})}, False),
        ({"data": dataclasses.replace(CONFIG.data, augment=("resize(28)",))}, False),
        ({"train": TrainConfig(steps=3)}, False),
    ],
)
def test_programs_are_shared_where_the_seeds_alone_differ(change, shared):
    with shared_programs():
        first = open_session(CONFIG)
        other = open_session(dataclasses.replace(CONFIG, **change))
    assert (other.programs is first.programs) == shared
    assert other.config == dataclasses.replace(CONFIG, **change)


def test_an_optimiser_that_draws_has_programs_of_its_own():
    noisy = dataclasses.replace(CONFIG, optim=OptimConfig("optax:noisy_sgd", weight_decay=0.0))
    with shared_programs():
        first, second = open_session(noisy), open_session(dataclasses.replace(noisy, seed=1))
        assert first.programs is not second.programs
        assert open_session(noisy).programs is first.programs


def test_nothing_is_shared_elsewhere():
    with shared_programs():
        inside = open_session(CONFIG)
    assert open_session(CONFIG).programs is not inside.programs
