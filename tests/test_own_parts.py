"""An experiment with an optimiser, a schedule, a loss and a gradient rule of its own."""

import dataclasses
import shutil

import pytest

from cnn_jax.cli import main
from cnn_jax.config import ConfigError, check_types, flatten, from_stored, identity, load_experiment, neighbours
from cnn_jax.runs import train
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.folder.stored import read_run
from cnn_jax.runs.parts import resolve_parts

EXPERIMENT = """
from functools import partial
import jax.numpy as jnp
import optax
from flax import linen as nn
from beside import focal
from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig

class Small(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(self.num_classes, name="head")(images.reshape(len(images), -1))

def sign_descent(learning_rate, beta=0.9, weight_decay=0.0, mask=None):
    return optax.chain(optax.add_decayed_weights(weight_decay, mask), optax.signum(learning_rate, beta))

def triangle(fraction):
    return 1 - abs(2 * fraction - 1)

def half(gradient, state, batch, *, scale=0.5):
    gradients, forward = gradient(state.params)
    return optax.tree.scale(scale, gradients), forward

def config():
    return Config(
        model=ModelConfig(Small, conv="xla"),
        data=DataConfig("digits", batch_size=32),
        optim=OptimConfig(
            partial(sign_descent, beta=0.8), learning_rate=0.004, schedule=triangle, gradient=partial(half, scale=0.25)
        ),
        train=TrainConfig(steps=6, loss=partial(focal, gamma=1.0), checkpoint_every=3, eval_every=6, log_every=3),
    )
"""
BESIDE = """
import jax, jax.numpy as jnp

def focal(logits, targets, gamma=2.0):
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], axis=1)[:, 0]
    return -((1 - jnp.exp(chosen)) ** gamma) * chosen

def unused():
    return 1
"""


@pytest.fixture
def experiment(tmp_path):
    def write(text=EXPERIMENT, beside=BESIDE, name="e.py", folder="recipes"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "beside.py").write_text(beside)
        (tmp_path / folder / name).write_text(text)
        return tmp_path / folder / name

    return write


def name_of(config):
    return identity(config, code=config.code.digest)


def test_objects_become_names_and_literals(experiment):
    config = load_experiment(experiment())
    flat = flatten(config)
    assert flat["optim.name"] == ":sign_descent" and flat["optim.arguments.beta"] == 0.8
    assert flat["optim.schedule"] == ":triangle" and flat["optim.gradient"] == ":half(scale=0.25)"
    assert flat["train.loss"] == "beside:focal(gamma=1.0)"
    assert check_types(config) == config == from_stored(flat)
    assert {f.name for f in config.code.files} == {"e.py", "beside.py"}


def test_what_a_named_function_computes_counts_and_nothing_else_does(experiment):
    before = name_of(load_experiment(experiment()))
    assert name_of(load_experiment(experiment(name="f.py", folder="elsewhere"))) == before
    assert name_of(load_experiment(experiment(beside=BESIDE.replace("return 1", "return 2")))) == before
    assert name_of(load_experiment(experiment(beside=BESIDE.replace("(1 - jnp", "(2 - jnp")))) != before
    assert name_of(load_experiment(experiment(EXPERIMENT.replace("2 * fraction", "3 * fraction")))) != before
    assert name_of(load_experiment(experiment(EXPERIMENT.replace("beta=0.8", "beta=0.7")))) != before


def test_a_function_that_is_named_later_counts_too(experiment):
    text = EXPERIMENT.replace("schedule=triangle", 'schedule="cosine"')
    config = load_experiment(experiment(text))
    named = dataclasses.replace(config, optim=dataclasses.replace(config.optim, schedule="e.py:triangle"))
    with neighbours(config.code.folder):
        settled = resolve_parts(check_types(named))
    assert settled.optim.schedule == ":triangle"
    assert settled.code.digest == load_experiment(experiment()).code.digest != config.code.digest


def test_it_trains_and_resumes_to_the_same_bits(experiment, tmp_path):
    config, run = load_experiment(experiment()), tmp_path / "run"
    train(config, run)
    assert read_run(run).config.optim.arguments == {"beta": 0.8}
    assert {path.name for path in (run / "code").iterdir()} == {"e.py", "beside.py"}
    whole = Checkpoints(run / "checkpoints", read_only=True).manifest(6)
    shutil.rmtree(run / "checkpoints/6")
    with pytest.warns(UserWarning, match="training goes on from step 3"):
        train(load_experiment(experiment()), run)
    assert Checkpoints(run / "checkpoints", read_only=True).manifest(6).sums == whole.sums


def test_its_arguments_are_flags(experiment, tmp_path, capsys, untrained):
    path, run = experiment(), tmp_path / "run"
    assert main(["train", str(path), "--workdir", str(run), "--train.steps", "1", "--optim.arguments.beta", "0.5"]) == 0
    assert read_run(run).config.optim.arguments == {"beta": 0.5}
    assert main(["train", str(path), "--workdir", str(run), "--optim.arguments.bta", "0.5"]) == 2
    assert "--optim.arguments.beta" in capsys.readouterr().err


def test_another_optimiser_on_the_command_line_begins_with_its_own_arguments(experiment, tmp_path, untrained):
    run = tmp_path / "run"
    words = ["--workdir", str(run), "--train.steps", "1", "--optim.name", "optax:lion", "--optim.arguments.b1", "0.8"]
    assert main(["train", str(experiment()), *words]) == 0
    assert read_run(run).config.optim.name == "optax:lion"
    assert read_run(run).config.optim.arguments == {"b1": 0.8, "b2": 0.99, "mu_dtype": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (EXPERIMENT.replace("schedule=triangle", "schedule=lambda fraction: 1"), "`optim.schedule`: .*lambda"),
        (EXPERIMENT.replace("beta=0.8", "beta=print"), "`optim.name`: an argument of `sign_descent` .* is no literal"),
        (EXPERIMENT.replace("beta=0.8)", "beta=0.8), {'beta': 0.7}"), "`optim.arguments.beta` is given twice"),
    ],
    ids=["lambda", "no_literal", "twice"],
)
def test_what_no_name_stands_for_is_refused(experiment, text, message):
    with pytest.raises(ConfigError, match=message):
        load_experiment(experiment(text))


def test_a_loss_must_give_a_number_a_row_and_take_the_smoothing(experiment, tmp_path):
    for change, message in [
        (("return -((1", "return sum(-((1"), "`train.loss`: beside:focal must give one number for each row"),
        (None, "`optim.label_smoothing` is 0.1: `beside:focal` takes no `label_smoothing`"),
    ]:
        beside = BESIDE if change is None else BESIDE.replace(*change).replace("* chosen", "* chosen)")
        config = load_experiment(experiment(beside=beside))
        if change is None:
            config = dataclasses.replace(config, optim=dataclasses.replace(config.optim, label_smoothing=0.1))
        with pytest.raises(ConfigError, match=message):
            train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
