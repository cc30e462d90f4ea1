"""One name for one experiment: what renames a run, and what never does."""

import dataclasses
import subprocess
import sys

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
    check_types,
    flatten,
    from_flat,
    identity,
    key_differences,
)
from cnn_jax.config.identity import canonical_call, counted, from_stored
from cnn_jax.config.reference import CALLS, MARKS, NAMES, PAPERS, REFERENCE
from cnn_jax.data.augmentation.chain import AUGMENTATIONS
from cnn_jax.data.augmentation.mix import MIXES
from cnn_jax.data.augmentation.views import VIEWS
from cnn_jax.models import architecture, list_models

BEFORE = ("momentum", "nesterov", "beta1", "beta2", "step_fractions", "step_factor")
DATA = {"train": "aa", "validation": "bb", "test": "cc", "class_names": "dd"}


def model(name="lenet5", **options):
    norm = {key: options.pop(key) for key in ("ghost_batch", "frozen_norm") if key in options}
    return Config(model=ModelConfig(name, options=options, **norm))


def optim(*args, **values):
    """Keys of before, too: as they stand in stored runs."""
    before = {f"optim.{key}": values.pop(key) for key in BEFORE if key in values}
    config = Config(optim=OptimConfig(*args, **values))
    return from_stored(flatten(config) | before) if before else config


def data(**values):
    return Config(data=DataConfig(**values))


MOVED = ("ghost_batch", "frozen_norm", "unbiased_variance", "remat", "kernel_init", "width")

# This table is never edited, only added to: a line that fails says that every run of its kind would lose its name.
FROZEN = [
    (Config(), {}, "0c92213e551638de"),
    (Config(seed=3), {}, "29b816c60be6684f"),
    (Config(), {"code": "ab" * 32}, "b8b5bc066c3e5d0c"),
    (Config(), {"data": DATA}, "0c5942796ae8c673"),
    (Config(), {"weights": "cd" * 32}, "0ec6ede50f11bc56"),
    (
        Config(model=ModelConfig(weights="a.pth", new_head=True)),
        {"code": "ab", "data": DATA, "weights": "cd"},
        "1ed42874a9153935",
    ),
    (
        Config(model=ModelConfig("resnet20_cifar", num_classes=100, dtype="bfloat16", conv="xla")),
        {},
        "2e6f72793a74708b",
    ),
    (model("resnet50", stem="cifar", width=0.5, drop_path=0.05, zero_init_scale=True), {}, "9f75a7876af4e4db"),
    (model("alexnet", dropout=0.0, activation="gelu"), {}, "481b48872283cb13"),
    (model("wrn28_10", dropout=0.3, norm="group"), {}, "c035acb7730b8dee"),
    (model("resnet20_cifar", ghost_batch=32, frozen_norm=True), {}, "1cd2f8731ec36225"),
    (model("googlenet", aux=True, five_by_five="5x5", pool="avg"), {}, "ea74bae6f646f107"),
    (data(name="cifar10", batch_size=512, augment=("pad_crop(4)", "horizontal_flip()")), {}, "b77b53fe51868f58"),
    (
        data(augment=("random_resized_crop(224, scale=(0.35, 1))",), eval_augment=("resize_shorter(256)",)),
        {},
        "34f9b939f67c8be4",
    ),
    (
        data(mix=("mixup(0.2)", "cutmix(0.5)"), eval_views="ten_crop(224)", interpolation="bicubic"),
        {},
        "5fbe6f6787c107d8",
    ),
    (data(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), validation_fraction=0.0), {}, "8ec48571f2b3049e"),
    (data(examples_per_class=10, class_fractions=(1.0, 0.5), label_noise=0.2, on_error="skip"), {}, "52ea03da1be91e3a"),
    (optim("sgd", learning_rate=0.2, weight_decay=5e-4, momentum=0.8, nesterov=False), {}, "0446ee96e6f83f74"),
    (optim("adamw", learning_rate=1e-3, weight_decay=0.05, beta1=0.8, beta2=0.95), {}, "35a2ba15eace3d05"),
    (
        optim("lamb", learning_rate=5e-3, warmup_fraction=0.05, label_smoothing=0.1, clip_norm=1.0),
        {},
        "374576ae576cc1e5",
    ),
    (optim(schedule="step", step_fractions=(0.3, 0.6, 0.8), step_factor=0.2), {}, "35e28b53fd7d1e7c"),
    (optim(schedule="step"), {}, "b78acf4015cabe04"),
    (optim(schedule="constant", freeze="(?!head)"), {}, "23ca3905426143cf"),
    (optim(ema_decay=0.999), {}, "60d50fe22a870e85"),
    (Config(train=TrainConfig(epochs=60.0)), {}, "cc5e7fc72626b274"),
    (Config(train=TrainConfig(steps=64_000)), {}, "2553abb1c971bc5c"),
    (Config(parallel=ParallelConfig(accumulate=4)), {}, "4009339a835f1ac4"),
    (data(examples_per_class=10), {}, "c1b74ff6b9cdeb9d"),
    (data(label_noise=0.2), {}, "657f3f0785e22a7c"),
    (data(name="folder", augment=("random_resized_crop(224)",)), {}, "4e51ae5de93c35b0"),
    (data(name="folder", augment=("random_resized_crop(224)",), interpolation="bicubic"), {}, "de7f973efa517d56"),
]


@pytest.mark.parametrize(("config", "content", "name"), FROZEN, ids=range(len(FROZEN)))
def test_no_name_ever_changes(config, content, name):
    assert identity(check_types(config), **content) == name


def test_the_frozen_experiments_are_different_experiments():
    assert len({name for _, _, name in FROZEN}) == len(FROZEN)


EQUAL = {
    "minus_zero": (optim(weight_decay=-0.0), optim(weight_decay=0.0), optim(weight_decay=0)),
    "whole_numbers": (Config(train=TrainConfig(epochs=3)), Config(train=TrainConfig(epochs=3.0))),
    "lists": (data(mean=[0, 1, 0.5]), data(mean=(0.0, 1.0, 0.5))),
    "call": (data(augment=("pad_crop(4)",)), data(augment=(" pad_crop( padding = 4, fill=0 )",))),
    "square": (data(augment=("resize(28)",)), data(augment=("resize(28, 28)",)), data(augment=("resize(28, None)",))),
    "call_range": (
        data(augment=("random_resized_crop(8)",)),
        data(augment=("random_resized_crop(8, scale=[0.08,1])",)),
    ),
    "mix": (data(mix=("mixup()",)), data(mix=("mixup(alpha=0.2)",))),
    "views": (data(eval_views="ten_crop(8)"), data(eval_views="ten_crop(height=8,width=8)")),
    "momentum": (optim(), optim(momentum=0.9), optim(nesterov=True)),
    "betas": (optim("adamw"), optim("adamw", beta1=0.9, beta2=0.999)),
    "step": (optim(schedule="step"), optim(schedule="step", step_fractions=(0.5, 0.75), step_factor=0.1)),
    "unused_drops": (optim(schedule="cosine"), optim(schedule="cosine", step_factor=0.2)),
    "paper": (model("alexnet"), model("alexnet", dropout=0.5, width=1), model("alexnet", norm="none")),
    "frozen_norm": (model(), model(frozen_norm=False)),
    "remat": (model("resnet50"), Config(model=ModelConfig("resnet50", remat=True))),
    "fraction": (data(), data(validation_fraction=0.1)),
    "epochs": (Config(), Config(train=TrainConfig(epochs=10)), Config(train=TrainConfig(None))),
    "steps_win": (Config(train=TrainConfig(epochs=60, steps=12)), Config(train=TrainConfig(steps=12))),
    "paths": (data(root="/a", folder="/b"), data(), Config(model=ModelConfig(weights="elsewhere.pth"))),
    "reporting": (
        Config(train=TrainConfig(log_every=7, eval_every=7, checkpoint_every=7, keep_checkpoints=7)),
        Config(train=TrainConfig(deterministic=True)),
        Config(train=TrainConfig(steps_per_call=7)),
        Config(),
    ),
    "devices": (Config(parallel=ParallelConfig("fsdp", distributed=True, num_processes=2)), Config()),
}


@pytest.mark.parametrize("configs", EQUAL.values(), ids=EQUAL)
def test_equal_experiments_have_one_name(configs):
    configs = [check_types(config) for config in configs]
    assert len({identity(config) for config in configs}) == 1
    assert key_differences(configs[0], configs[-1]) == {}


def test_true_is_no_number():
    with pytest.raises(ConfigError, match=r"`seed` must be int, got True"):
        check_types(Config(seed=True))


DIFFERENT = {
    "augment": (data(augment=("pad_crop(4)",)), data(augment=("pad_crop(4, fill=1)",))),
    "width": (data(augment=("resize(28)",)), data(augment=("resize(28, 32)",))),
    "order": (data(augment=("to_rgb()", "pad_crop(4)")), data(augment=("pad_crop(4)", "to_rgb()"))),
    "option": (model("alexnet", dropout=0.0), model("alexnet")),
    "network": (model("resnet20_cifar"), model("resnet32_cifar")),
    "norm": (model("resnet20_cifar", frozen_norm=True), model("resnet20_cifar")),
    "momentum": (optim(momentum=0.0), optim()),
    "average": (optim(ema_decay=0.9), optim(ema_decay=0.99)),
    "schedule": (optim(schedule="step", step_factor=0.2), optim(schedule="step")),
    "steps": (Config(train=TrainConfig(steps=10)), Config(train=TrainConfig(epochs=10))),
}


@pytest.mark.parametrize(("left", "right"), DIFFERENT.values(), ids=DIFFERENT)
def test_another_experiment_has_another_name_and_a_row_of_difference(left, right):
    assert identity(left) != identity(right)
    rows = key_differences(left, right)
    assert rows
    assert all(a != b for a, b in rows.values())


def test_rows_of_difference_bear_the_names_that_are_written():
    left, right = optim(momentum=0.8, schedule="step", step_factor=0.2), model(ghost_batch=4)
    assert key_differences(left, right) == {
        "optim.schedule": ["step(factor=0.2)", "cosine()"],
        "optim.arguments.momentum": [0.8, 0.9],
        "model.ghost_batch": [None, 4],
    }


def test_code_data_and_weights_count():
    contents = [
        {},
        {"code": "a"},
        {"data": {"train": "a"}},
        {"data": {"test": "a"}},
        {"weights": "a"},
        {"weights": "b"},
    ]
    assert len({identity(Config(), **content) for content in contents}) == len(contents)
    assert identity(Config(), code=None, data={}, weights=None) == identity(Config())


def test_only_an_experiment_with_an_average_bears_the_mark_of_its_new_meaning(monkeypatch):
    averaged, plain = optim(ema_decay=0.9), optim()
    before = identity(averaged), identity(plain)
    monkeypatch.setitem(MARKS, "optim.ema_decay", (3, MARKS["optim.ema_decay"][1]))
    assert identity(averaged) != before[0]
    assert identity(plain) == before[1]


def test_a_new_key_renames_no_run(monkeypatch):
    grown = dataclasses.make_dataclass("OptimConfig", [("sam", float | None, 0.05)], bases=(OptimConfig,), frozen=True)
    monkeypatch.setitem(REFERENCE, "optim.sam", None)  # "as before"
    for before in (OptimConfig(), OptimConfig("adamw", {"b1": 0.8}, ema_decay=0.9)):
        values = {f.name: getattr(before, f.name) for f in dataclasses.fields(before)}
        assert identity(Config(optim=grown(sam=None, **values))) == identity(Config(optim=before))
        assert identity(Config(optim=grown(**values))) != identity(Config(optim=before))


def test_a_changed_default_renames_what_uses_it_and_nothing_else():
    grown = dataclasses.make_dataclass(
        "OptimConfig", [("label_smoothing", float, 0.1)], bases=(OptimConfig,), frozen=True
    )
    assert identity(Config(optim=grown())) == identity(optim(label_smoothing=0.1))
    assert identity(Config(optim=grown(label_smoothing=0.0))) == identity(Config())


def test_a_key_that_was_not_stored_means_as_before(monkeypatch):
    monkeypatch.setitem(REFERENCE, "optim.clip_norm", 3.0)
    stored = {key: value for key, value in flatten(Config(seed=5)).items() if key != "optim.clip_norm"}
    assert from_stored(stored).optim.clip_norm == 3.0
    assert from_stored(flatten(Config(seed=5))) == Config(seed=5)
    with pytest.raises(ConfigError, match=r"`optim.lerning_rate` is not a configuration key"):
        from_stored({"optim.lerning_rate": 1.0})


def test_keys_that_were_stored_under_other_names_are_read():
    config = Config(model=ModelConfig("resnet8_cifar", ghost_batch=4, frozen_norm=True, unbiased_variance=True))
    moved = {"ghost_batch": 4, "frozen_norm": True, "unbiased_running_var": True, "axis_name": None}
    moved |= {"init": "lecun", "width": 0.5, "dropout": None, "remat": True}
    config = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, options={"kernel_init": "lecun", "width": 0.5}, remat=True),
    )
    for options, expected in ((moved, config), (dict.fromkeys(moved), Config(model=ModelConfig("resnet8_cifar")))):
        flat = {key: value for key, value in flatten(config).items() if key.rpartition(".")[2] not in MOVED}
        assert from_stored(flat | {f"model.options.{key}": value for key, value in options.items()}) == expected


def test_every_key_stands_in_the_tables_or_outside_the_identity():
    keys = set(flatten(Config(), identity_only=True))
    options = {f"model.options.{key}" for paper in PAPERS.values() for key in paper}
    missing = keys - REFERENCE.keys() - options
    assert not missing, f"{missing}: enter them in cnn_jax/config/reference.py with the value that means 'as before'"


def test_every_network_and_every_operation_stands_in_the_tables():
    for name in list_models():
        today = {NAMES.get(key := f"model.options.{option}", key) for option in architecture(name).options}
        assert today <= {f"model.options.{option}" for option in PAPERS[name]}
    assert {*AUGMENTATIONS, *MIXES, *VIEWS} <= CALLS.keys()


def test_the_reference_counts_nowhere():
    assert counted(Config()) == {}
    assert counted(from_flat({"model.name": "alexnet"})) == {"model.name": "alexnet"}


def test_what_is_no_call_stays_text():
    assert canonical_call(" pad_crop ") == "pad_crop"
    assert canonical_call("own(1, x=2)") == ["own", {"0": 1, "x": 2}]
    assert canonical_call("f(x)") == "f(x)"
    assert canonical_call("f({[]: 1})") == "f({[]: 1})"


def test_optimised_python_reads_calls_alike():
    program = "from cnn_jax.config.identity import canonical_call; print(canonical_call(' pad_crop '))"
    found = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "pad_crop"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (data(augment=("resize(28)", 3, "pad_crop(3)")), "`data.augment`: give a name, or a function, got 3"),
        (data(mean=(0.5, 0.5, "a")), r"`data.mean` must be .*float"),
        (data(class_fractions=(1.0, True)), r"`data.class_fractions` must be"),
        (optim(learning_rate=float("nan")), r"`optim.learning_rate` is nan: give a finite number"),
        (Config(train=TrainConfig(epochs=float("inf"))), r"`train.epochs` is inf: give a finite number"),
        (data(std=(1.0, float("inf"))), r"`data.std` is .*inf.*: give a finite number"),
        (Config(parallel=ParallelConfig(distributed=1)), r"`parallel.distributed` must be bool"),
        (optim(arguments={"b1": float("nan")}), r"`optim.arguments`: `b1`: nan is no literal"),
        (optim(arguments={"b1": len}), r"`optim.arguments`: `b1`: <built-in function len> is no literal"),
        (optim(arguments=[0.9]), r"`optim.arguments`: give a mapping of names to values"),
        (optim(weight_decay=10**400), r"`optim.weight_decay` must be float"),
    ],
)
def test_every_item_is_checked_every_time(config, message):
    for _ in range(20):
        with pytest.raises(ConfigError, match=message):
            check_types(config)


def test_numbers_become_what_their_keys_hold():
    checked = check_types(Config(data=DataConfig(mean=[0, 0.5]), train=TrainConfig(epochs=3)))
    assert checked.data.mean == (0.0, 0.5)
    assert [type(v) for v in (*checked.data.mean, checked.train.epochs)] == [float] * 3


@pytest.mark.parametrize("source", ["init", "order", "augment", "dropout"])
def test_a_seed_of_a_source_is_another_experiment_where_it_is_not_the_runs(source):
    def name(seed, **seeds):
        return identity(Config(seed=seed, seeds=SeedsConfig(**seeds)))

    assert name(3, **{source: 3}) == name(3) and name(0, **{source: 0}) == name(0)
    assert len({name(3), name(3, **{source: 4}), name(4, **{source: 3}), name(4)}) == 4


def test_a_seed_of_the_split_is_another_experiment_whatever_it_is():
    assert len({identity(Config(seed=3, seeds=SeedsConfig(split=split))) for split in (None, 0, 3)}) == 3
