"""A run that starts from a file: its weights to the bit, its identity the file's content."""

import json

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file

from cnn_jax.cli import main
from cnn_jax.config import Config, ConfigError, DataConfig, ModelConfig, OptimConfig, TrainConfig, identity
from cnn_jax.models import abstract_variables, create_model, initialize
from cnn_jax.randomness import random_key
from cnn_jax.runs.session import open_session
from cnn_jax.runs.start.initial_state import initial_state, resolve_weights
from cnn_jax.weights import WeightsError, load_weights, save_weights

OPTIONS = {"width": 0.25}


@pytest.fixture
def file(tmp_path):
    """ResNet-8 for five classes with drawn weights and statistics."""
    random, model = np.random.default_rng(0), create_model("resnet8_cifar", 5, options=OPTIONS)
    shapes = abstract_variables(model, (8, 8, 1))
    variables = jax.tree.map(lambda leaf: random.uniform(0.5, 1, leaf.shape).astype(np.float32), shapes)
    save_weights(tmp_path / "five.safetensors", model, variables)
    return tmp_path / "five.safetensors"


def config_of(file, **model):
    model = ModelConfig("resnet8_cifar", options=OPTIONS, conv="xla", weights=str(file), **{"new_head": True, **model})
    optim = OptimConfig(ema_decay=0.9)
    return Config(model=model, data=DataConfig("digits", batch_size=16), optim=optim, train=TrainConfig(steps=2))


def test_a_run_starts_with_the_file_s_weights_and_the_seed_s_head(file):
    session = open_session(config_of(file))
    state, drawn = initial_state(session), session.drawn_state()
    expected = load_weights(file, session.model, head=False, channels=1)
    for collection, leaves in expected.items():
        for path, leaf in flatten_dict(leaves).items():
            here = flatten_dict(getattr(state, collection))[path]
            drawn_or_read = drawn.params["head"][path[-1]] if path[0] == "head" else leaf
            np.testing.assert_array_equal(here, drawn_or_read, err_msg=str(path))
    for part, average in ((state.params, state.ema), (state.batch_stats, state.ema_batch_stats)):
        for a, b in zip(jax.tree.leaves(part), jax.tree.leaves(average), strict=True):
            assert a is not b  # both are donated to the step
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow  # as `models/test_registry.py` has it of a network alone
def test_a_run_without_a_file_starts_with_what_initialize_draws():
    config = Config(model=ModelConfig("resnet8_cifar"), data=DataConfig("digits", batch_size=16))
    session = open_session(config)
    state = session.drawn_state()
    keys = {"params": random_key(config.seed, "init"), "dropout": random_key(config.seed, "init_dropout")}
    drawn = initialize(session.model, keys, session.image_shape)
    jax.tree.map(np.testing.assert_array_equal, drawn, state.eval_variables)


def test_another_number_of_classes_needs_a_new_head(file):
    with pytest.raises(WeightsError, match="Only the classifier differs"):
        initial_state(open_session(config_of(file, new_head=False)))


def test_a_classifier_of_other_classes_needs_a_new_head(tmp_path):
    model = create_model("resnet8_cifar", 10, options=OPTIONS)
    shapes = abstract_variables(model, (8, 8, 1))
    ones = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)
    names = {"same": tuple("0123456789"), "other": tuple("0132456789"), "unsaid": ()}
    for file, classes in names.items():
        save_weights(tmp_path / f"{file}.safetensors", model, ones, class_names=classes)
    with pytest.raises(WeightsError, match="'3' stands in the place of '2'; take the data set of its classes, or draw"):
        initial_state(open_session(config_of(tmp_path / "other.safetensors", new_head=False)))
    for file, new_head in (("same", False), ("unsaid", False), ("other", True)):
        initial_state(open_session(config_of(tmp_path / f"{file}.safetensors", new_head=new_head)))


def test_the_identity_holds_the_content_and_not_the_path(file, tmp_path):
    moved, changed = tmp_path / "moved.safetensors", tmp_path / "changed.safetensors"
    moved.write_bytes(file.read_bytes())
    changed.write_bytes(file.read_bytes() + b" ")
    names = [identity(resolve_weights(config_of(path))) for path in (file, moved, changed)]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("absent.safetensors", {}, "there is no such file"),
        ("five.safetensors", {"weights_sha256": "0" * 64}, "it is another file"),
    ],
    ids=["absent", "other_checksum"],
)
def test_a_file_that_is_not_meant_is_refused(file, tmp_path, name, changes, message):
    with pytest.raises(ConfigError, match=message):
        resolve_weights(config_of(tmp_path / name, **changes))


def test_a_new_head_without_weights_is_refused():
    with pytest.raises(ConfigError, match=r"`model.new_head` is True: without `model.weights`"):
        open_session(Config(model=ModelConfig(new_head=True), data=DataConfig("digits")))


@pytest.mark.slow
def test_fine_tuning_the_head_leaves_the_rest_of_the_file_as_it_was(file, tmp_path, capsys):
    experiment = tmp_path / "experiment.py"
    experiment.write_text(
        "from cnn_jax import *\n\ndef config():\n"
        "    model = ModelConfig('resnet8_cifar', options={'width': 0.25}, conv='xla')\n"
        "    return Config(model=model, data=DataConfig('digits', batch_size=16), train=TrainConfig(steps=2))\n"
    )
    words = ["train", str(experiment), "--workdir", str(tmp_path / "run"), "--model.weights", str(file), "--json"]
    words += ["--model.new-head", "--optim.freeze", "(?!head)"]
    assert main(words) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert main(["weights", "export", str(tmp_path / "run"), str(tmp_path / "after.safetensors")]) == 0
    before, after = load_file(file), load_file(tmp_path / "after.safetensors")
    same = {
        name: before[name].shape == leaf.shape and np.array_equal(before[name], leaf) for name, leaf in after.items()
    }
    assert {name for name, unchanged in same.items() if not unchanged} == {"fc.weight", "fc.bias"}
    file.unlink()  # a finished run needs it no more
    assert main(["eval", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["loss"] == figures["test"]["loss"]
