"""The configuration: identity, difference, round trip, and errors that name the remedy."""

import dataclasses
import os
import subprocess
import sys

import pytest

from cnn_jax.config import (
    Config,
    ConfigError,
    DataConfig,
    OptimConfig,
    ParallelConfig,
    TrainConfig,
    check_types,
    difference,
    flatten,
    from_flat,
    identity,
    load_experiment,
)
from cnn_jax.runs.derive import derive


def changed(config, key, value):
    *parents, leaf = key.split(".")
    part = getattr(config, parents[0]) if parents else config
    part = dataclasses.replace(part, **{leaf: value})
    return dataclasses.replace(config, **{parents[0]: part}) if parents else part


def test_flatten_round_trips():
    config = Config(seed=3, data=DataConfig(augment=("pad_crop(4)",)), optim=OptimConfig(clip_norm=1.0))
    assert from_flat(flatten(config)) == config


def test_identity_is_stable_across_processes():
    code = "from cnn_jax.config import *; print(identity(Config(seed=3)))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": h},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for h in "12"
    ]
    assert runs == [identity(Config(seed=3))] * 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 1),
        ("optim.learning_rate", 0.2),
        ("model.dtype", "bfloat16"),
        ("train.steps", 5),
        ("data.augment", ("a()",)),
        ("data.interpolation", "bicubic"),
    ],
)
def test_identity_changes_with_what_changes_a_result(key, value):
    assert identity(changed(Config(), key, value)) != identity(Config())


@pytest.mark.parametrize(
    ("key", "value"), [("data.root", "/elsewhere"), ("train.log_every", 7), ("train.checkpoint_every", 7)]
)
def test_identity_ignores_paths_and_logging(key, value):
    assert identity(changed(Config(), key, value)) == identity(Config())


def test_difference_names_keys_and_both_sides():
    other = changed(Config(), "optim.learning_rate", 0.5)
    assert difference(flatten(Config()), flatten(other)) == {"optim.learning_rate": [0.1, 0.5]}


def test_unknown_key_names_the_nearest_valid_one():
    with pytest.raises(
        ConfigError, match=r"`optim.lerning_rate` is not a configuration key. Did you mean `optim.learning_rate`"
    ):
        from_flat({"optim.lerning_rate": 0.1})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(seed="1"), r"`seed` must be int, got '1'"),
        (Config(data=DataConfig(batch_size=1.5)), r"`data.batch_size` must be int, got 1.5"),
        (Config(optim=OptimConfig(name=3)), r"`optim.name`: give a name, or a function, got 3"),
        (Config(optim=OptimConfig("sgd(momentum=0.8)")), r"its arguments stand under `optim.arguments`"),
        (Config(optim=OptimConfig(schedule="step(0.1)")), r"`optim.schedule`: 'step\(0.1\)' is no name of a part"),
        (Config(train="long"), r"`train` must be a TrainConfig, got 'long'"),
    ],
)
def test_wrong_type_is_named(config, message):
    with pytest.raises(ConfigError, match=message):
        check_types(config)


def test_whole_numbers_serve_as_fractions():
    assert check_types(Config(train=TrainConfig(epochs=3))).train.epochs == 3.0


SIZES = {"num_examples": 1000, "num_classes": 10, "num_devices": 8}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.batch_size", 100, r"`data.batch_size` is 100: it must divide evenly over 8 devices; .* is 96"),
        ("data.batch_size", 0, r"`data.batch_size` is 0: it must be positive"),
        ("model.num_classes", 5, r"`model.num_classes` is 5, but `digits` has 10 classes"),
        ("train.epochs", 0.0, r"`train.epochs` is 0.0"),
        ("train.epochs", float("inf"), r"`train.epochs` is inf: it must be finite"),
        ("train.epochs", 1e30, r"`train.epochs` is 1e\+30, which makes .* steps; it must make fewer than 2\^31"),
        ("train.steps", 2**31, r"`train.steps` is 2147483648: it must be below 2\^31"),
        ("model.weights_sha256", "ab", r"`model.weights_sha256` is ab: it has no effect without `model.weights`"),
        ("train.steps", 0, r"`train.steps` is 0"),
        ("optim.warmup_fraction", 1.0, r"`optim.warmup_fraction` is 1.0"),
        ("optim.ema_decay", 1.0, r"`optim.ema_decay` is 1.0"),
        ("optim.clip_norm", -1.0, r"`optim.clip_norm` is -1.0"),
    ],
)
def test_contradictions_name_value_and_remedy(key, value, message):
    with pytest.raises(ConfigError, match=message):
        derive(changed(Config(), key, value), **SIZES)


def test_derived_values_follow_the_overrides():
    derived = derive(Config(data=DataConfig(batch_size=64), optim=OptimConfig(learning_rate=0.1)), **SIZES)
    assert derived.learning_rate == pytest.approx(0.1 * 64 / 256)
    assert derived.steps == round(10 * 1000 / 64)
    assert derive(Config(train=TrainConfig(steps=7)), **SIZES).steps == 7
    assert derive(Config(train=TrainConfig(epochs=60, steps=7)), **SIZES).steps == 7
    assert derive(Config(train=TrainConfig(epochs=10)), **SIZES) == derive(Config(), **SIZES)


def test_device_layout_is_no_part_of_the_identity():
    assert not [k for k in flatten(Config(parallel=ParallelConfig()), identity_only=True) if k == "parallel.strategy"]


def test_load_experiment_returns_the_config(tmp_path):
    file = tmp_path / "e.py"
    file.write_text("from cnn_jax import Config\ndef config():\n    return Config(seed=5)\n")
    assert load_experiment(file).seed == 5


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1", r"must define `config\(\)`"),
        ("def config(): return 3", r"must return a cnn_jax.Config, got int"),
        ("from cnn_jax import OptimConfig\ndef config(): return OptimConfig(lerning_rate=1)", r"e.py`: .*lerning_rate"),
    ],
)
def test_load_experiment_says_what_is_wrong(tmp_path, source, message):
    file = tmp_path / "e.py"
    file.write_text(source)
    with pytest.raises(ConfigError, match=message):
        load_experiment(file)


def test_a_missing_experiment_names_the_nearest_file(tmp_path):
    (tmp_path / "digits_lenet.py").write_text("")
    with pytest.raises(ConfigError, match=r"no experiment file .*Did you mean `.*digits_lenet.py`"):
        load_experiment(tmp_path / "digit_lenet.py")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("Config(optim=OptimConfig(learning=0.1))", r"Did you mean `learning_rate`\?"),
        ("Config(optim=OptimConfig(beta1=0.8))", r"Write it as `arguments=\{\"b1\": …\}`"),
        ("Config(model=ModelConfig(activation='relu'))", r"unexpected keyword argument 'activation'\. Valid: name,"),
        ("Config(train=TrainConfig())", r"Import it: `from cnn_jax import TrainConfig`"),
        ("Config(data=DataConfig(augment=('flip()')))", r"One item is written with a comma: \('flip\(\)',\)\."),
    ],
    ids=["misspelt", "moved", "unknown", "not_imported", "no_comma"],
)
def test_a_mistake_in_an_experiment_file_names_the_remedy(tmp_path, body, message):
    path = tmp_path / "mine.py"
    path.write_text(
        "from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig\n\n"
        f"def config() -> Config:\n    return {body}\n"
    )
    with pytest.raises(ConfigError, match=message):
        load_experiment(path)
