"""A run in the place of a file of weights: the same start and the same identity as from the file that it exports."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
from small_network import Small

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig, export_weights, train
from cnn_jax.config import ConfigError, check_types
from cnn_jax.runs.content import content_of
from cnn_jax.runs.folder.checkpoint import CheckpointError
from cnn_jax.runs.folder.stored import RunError
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.session import open_session
from cnn_jax.runs.start.initial_state import initial_state, resolve_weights
from cnn_jax.weights import WeightsError

CONFIG = Config(
    model=ModelConfig(Small, conv="xla"),
    data=DataConfig("digits", batch_size=16),
    optim=OptimConfig("sgd", learning_rate=1.6, ema_decay=0.5),
    train=TrainConfig(steps=4, checkpoint_every=2, eval_every=2, keep_checkpoints=4),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with checkpoints at steps 2 and 4, and an average of its parameters."""
    folder = tmp_path_factory.mktemp("starting_weights") / "run"
    train(CONFIG, folder)
    return folder


def starting_from(weights, new_head=True):
    model = dataclasses.replace(CONFIG.model, weights=str(weights), new_head=new_head)
    return resolve_weights(resolve_parts(check_types(dataclasses.replace(CONFIG, model=model))))


def start(config, *say):
    return jax.tree.leaves(initial_state(open_session(config), *say).eval_variables)


@pytest.mark.parametrize("step", ["latest", *(pytest.param(step, marks=pytest.mark.slow) for step in (2, "best"))])
def test_a_run_starts_as_the_file_that_it_exports_and_is_the_same_experiment(run, tmp_path, step):
    weights, file, said = run if step == "latest" else f"{run}@{step}", tmp_path / "file.safetensors", []
    export_weights(run, file, step=step)
    from_run, from_file = starting_from(weights), starting_from(file)
    assert content_of(from_run).identity(from_run) == content_of(from_file).identity(from_file)
    for ours, theirs in zip(start(from_run, said.append), start(from_file), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (content_of(from_run).weights == content_of(starting_from(run)).weights) == (step != 2)
    head = "head.bias, head.kernel"
    assert said == [f"weights of {weights}: 6 arrays taken; left there: {head}; drawn afresh: {head}"]


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def test_a_run_that_is_not_finished_is_refused_unless_its_step_is_named(copy):
    shutil.rmtree(copy / "checkpoints" / "4")
    with pytest.raises(ConfigError, match=r"stands at step 2 of 4: train it to its end, or name a step .*copy@2\.$"):
        content_of(starting_from(copy))
    assert content_of(starting_from(f"{copy}@2")).weights


def test_a_run_without_a_checkpoint_is_refused(copy):
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(CheckpointError, match="holds no checkpoint yet"):
        content_of(starting_from(copy))
    (copy / "config.json").unlink()
    with pytest.raises(RunError, match="is not a run folder"):
        content_of(starting_from(copy))


def test_a_damaged_run_is_refused(copy):
    for path in (copy / "checkpoints" / "4").glob("tree/**/d/*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=r"checkpoint 4 .*damaged"):
        content_of(starting_from(copy))


@pytest.mark.slow
def test_a_run_of_another_network_is_refused_by_its_name(run):
    config = starting_from(run)
    lenet = dataclasses.replace(config.model, name="lenet5", options={}, conv="xla")
    data = dataclasses.replace(config.data, augment=("resize(28)",), eval_augment=("resize(28)",))
    with pytest.raises(WeightsError, match=f"^`{run}` does not hold this network's weights"):
        start(dataclasses.replace(config, model=lenet, data=data))


def test_a_run_in_another_precision_is_refused(run):
    config = starting_from(run)
    model = dataclasses.replace(config.model, dtype="float64")
    with pytest.raises(ConfigError, match="a run in float32, and this one is in float64: write its weights to a file"):
        content_of(dataclasses.replace(config, model=model))


def test_a_checksum_of_a_run_is_refused(run):
    model = dataclasses.replace(CONFIG.model, weights=str(run), weights_sha256="0" * 64)
    with pytest.raises(ConfigError, match=r"`model.weights_sha256` is of a file, and .* is a run"):
        resolve_weights(dataclasses.replace(CONFIG, model=model))
