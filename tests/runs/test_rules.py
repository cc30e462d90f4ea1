"""A key out of range, and one that could have no effect on any device, is refused by name, before any data is read."""

import dataclasses

import pytest

from cnn_jax.config import (
    Config,
    ConfigError,
    DataConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    SeedsConfig,
    TrainConfig,
)
from cnn_jax.runs.checks import check
from cnn_jax.runs.derive import derive
from cnn_jax.runs.session import open_session

NAN, INF = float("nan"), float("inf")


def test_the_default_and_what_uses_every_key_pass():
    check(Config(), 1)
    optim = OptimConfig("sgd", {"momentum": 0.0}, schedule="step(fractions=(0.3,), factor=0.2)")
    check(Config(optim=optim, data=DataConfig(batch_size=2, mix=("mixup(0.2)",), validation_fraction=0.0)), 1)


@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("model.weights_sha256", Config(model=ModelConfig(weights_sha256="0" * 64))),
        ("model.new_head", Config(model=ModelConfig(new_head=True))),
        ("seeds.init", Config(seeds=SeedsConfig(init=3), model=ModelConfig(weights="some.safetensors"))),
        ("data.folder", Config(data=DataConfig("digits", folder="images"))),
        ("data.mix", Config(data=DataConfig(batch_size=1, mix=("mixup(0.2)",)))),
        ("train.eval_every", Config(data=DataConfig(validation_fraction=0.0), train=TrainConfig(eval_every=5))),
        (
            "optim.arguments.nesterov",
            Config(optim=OptimConfig(arguments={"momentum": 0.0, "nesterov": True})),
        ),
    ],
)
def test_a_key_without_effect_is_refused(key, config):
    with pytest.raises(ConfigError, match=f"`{key}` is "):
        check(config, 1)


@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("seeds.order", Config(seeds=SeedsConfig(order=2**32))),
        ("seeds.split", Config(seeds=SeedsConfig(split=-1))),
        ("data.batch_size", Config(data=DataConfig(batch_size=2**31))),
        ("parallel.accumulate", Config(parallel=ParallelConfig(accumulate=10**30))),
        ("model.num_classes", Config(model=ModelConfig(num_classes=10**30))),
        ("data.examples_per_class", Config(data=DataConfig(examples_per_class=-1))),
        ("data.validation_fraction", Config(data=DataConfig(validation_fraction=1.0))),
        ("data.label_noise", Config(data=DataConfig(label_noise=-0.1))),
        ("data.class_fractions", Config(data=DataConfig(class_fractions=(0.5, 1.5)))),
        ("data.std", Config(data=DataConfig(std=(0.0,)))),
        ("optim.arguments.momentum", Config(optim=OptimConfig(arguments={"momentum": 1.0}))),
        ("optim.arguments.b2", Config(optim=OptimConfig("adamw", {"b2": 1.0}))),
        ("train.steps", Config(train=TrainConfig(steps=2**31))),
    ],
)
def test_a_key_out_of_range_is_refused(key, config):
    with pytest.raises(ConfigError, match=f"`{key}` is "):
        check(config, 1)


def floats():
    """The float keys of the sections, as (section, key)."""
    for section in dataclasses.fields(Config):
        for f in dataclasses.fields(section.default) if dataclasses.is_dataclass(section.default) else ():
            if "float" in str(f.type):
                yield section.name, f.name, "tuple" in str(f.type)


@pytest.mark.parametrize("value", [NAN, INF], ids=["nan", "inf"])
@pytest.mark.parametrize(("section", "key", "several"), list(floats()))
def test_no_number_may_be_infinite_or_none_at_all(section, key, several, value):
    part = dataclasses.replace(getattr(Config(), section), **{key: (value,) if several else value})
    with pytest.raises(ConfigError, match=f"`{section}.{key}` is .*: it must be finite"):
        check(dataclasses.replace(Config(), **{section: part}), 1)


def test_epochs_that_make_more_steps_than_can_be_counted_are_refused():
    with pytest.raises(ConfigError, match=r"`train.epochs` is 1e\+30"):
        derive(Config(train=TrainConfig(epochs=1e30)), num_examples=1000, num_classes=10, num_devices=1)


def tiny_maps(batch_size=4, accumulate=1, ghost_batch=None, **options):
    """Four pixels a side are one pixel in the last stage."""
    small = ("resize(4)",)
    return Config(
        model=ModelConfig("resnet8_cifar", ghost_batch=ghost_batch, options=options),
        data=DataConfig("digits", batch_size=batch_size, augment=small, eval_augment=small),
        parallel=ParallelConfig(accumulate=accumulate),
    )


@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("data.batch_size", tiny_maps(batch_size=1)),
        ("parallel.accumulate", tiny_maps(accumulate=4)),
        ("model.ghost_batch", tiny_maps(ghost_batch=1)),
        ("model.ghost_batch", tiny_maps(ghost_batch=1, accumulate=2)),
    ],
)
def test_batches_of_one_value_a_channel_are_refused_before_training_by_their_key(key, config):
    with pytest.raises(ConfigError, match=rf"`{key}`: .* more than one value a channel"):
        open_session(config)
    # Frozen statistics are taken from no batch.
    open_session(dataclasses.replace(config, optim=OptimConfig(freeze="(?!head)")))


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ({"ghost_batch": 4}, r"`model.ghost_batch`, which `parallel.batch_norm` per_device stands for, is 4"),
        ({"frozen_norm": True}, "`model.frozen_norm` is True"),
        ({"unbiased_variance": True}, "`model.unbiased_variance` is True"),
    ],
)
def test_options_of_batch_norm_are_refused_where_there_is_none(key, said):
    config = Config(
        model=ModelConfig("lenet5", **key),
        data=DataConfig("digits", batch_size=16, augment=("resize(28)",), eval_augment=("resize(28)",)),
    )
    with pytest.raises(ConfigError, match=f"{said}: it has no effect on lenet5.*leave it out"):
        open_session(config)
    group = ModelConfig("resnet8_cifar", options={"norm": "group"}, **key)
    with pytest.raises(ConfigError, match=f"{said}: it has no effect on resnet8_cifar"):
        open_session(dataclasses.replace(config, model=group))
    open_session(dataclasses.replace(config, model=dataclasses.replace(group, options={})))


def test_an_interpolation_is_refused_where_nothing_scales():
    data = DataConfig("digits", batch_size=16, augment=("pad_crop(1)",), interpolation="bicubic")
    config = Config(model=ModelConfig("resnet8_cifar"), data=data)
    with pytest.raises(ConfigError, match=r"`data.interpolation` is bicubic: nothing .* scales images"):
        open_session(config)
    scaled = dataclasses.replace(data, eval_augment=("resize(8)",))
    session = open_session(dataclasses.replace(config, data=scaled))
    open_session(config, session.derived)  # as a folder of imported weights has it


def test_groups_of_one_value_are_refused_when_a_run_begins_and_no_later():
    # 64 channels on one pixel, in groups of two, are enough; as many groups as channels are not.
    open_session(tiny_maps(norm="group"))
    config = tiny_maps(norm="group", width=0.5)
    with pytest.raises(ConfigError, match=r"`model`: .* more than one value a group"):
        open_session(config)
    derived = derive(config, num_examples=1000, num_classes=10, num_devices=1)
    assert open_session(config, derived).model is not None


def test_a_seed_of_augmentation_without_any_is_refused():
    data = DataConfig("digits", augment=("resize(28)",), eval_augment=("resize(28)",))
    config = Config(data=data, seeds=SeedsConfig(augment=3))
    with pytest.raises(ConfigError, match=r"`seeds.augment` is 3: nothing in `data.augment` and `data.mix` is drawn"):
        open_session(config)
    drawn = dataclasses.replace(data, augment=("resize(28)", "pad_crop(1)"))
    open_session(dataclasses.replace(config, data=drawn))
