"""What a step needs is known before it runs, and recomputing blocks or working in micro-batches lowers it."""

import dataclasses

import jax
import numpy as np
import pytest

from cnn_jax.config import Config, DataConfig, ModelConfig, ParallelConfig, TrainConfig, identity
from cnn_jax.data import train_batches
from cnn_jax.parallel import peak_bytes
from cnn_jax.runs.session import open_session

CONFIG = Config(
    model=ModelConfig("resnet8_cifar", conv="xla"),
    data=DataConfig("digits", batch_size=64, augment=("resize(32)",), eval_augment=("resize(32)",)),
    train=TrainConfig(steps=2),
)


# The compiler's plan of memory is made before it optimises.
QUICK = {"xla_backend_optimization_level": 0}


def opened(config):
    """A session, its compiled step, and the bytes of that."""
    session, compiled = open_session(config), []

    def compile(*arrays, donate):
        compiled.append(session.layout.lower(*arrays, donate=donate).compile(compiler_options=QUICK))
        return compiled[-1]

    session.layout.compile = compile
    return session, session.compile_train_step(), peak_bytes(compiled[-1])


@pytest.fixture(scope="module")
def plain():
    return opened(CONFIG)


@pytest.mark.slow
def test_peak_holds_at_least_the_state_and_the_activations_of_one_stage(plain):
    session, _, peak = plain
    state = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(session.abstract_checkpoint()["state"]))
    stage = 64 * 32 * 32 * 16 * 4
    assert state + stage < peak < 100 * stage


@pytest.mark.slow
def test_micro_batches_take_less_memory(plain):
    config = dataclasses.replace(CONFIG, parallel=ParallelConfig(accumulate=4))
    assert opened(config)[2] < 0.6 * plain[2]


@pytest.mark.slow
def test_remat_takes_less_memory_and_computes_the_same(plain):
    session, step, peak = plain
    config = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, remat=True))
    assert identity(config) == identity(CONFIG)
    again, remat_step, remat_peak = opened(config)
    assert remat_peak < 0.9 * peak
    batch = session.layout.put(next(train_batches(session.dataset("train"), 64, seed=0)))
    losses = []
    for s, function in ((session, step), (again, remat_step)):
        carry, losses_here = s.carry(s.drawn_state()), []
        for _ in range(2):
            carry, _ = function(carry, batch)
            losses_here.append(float(carry["window"].loss.compute()))
        losses.append(losses_here)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
