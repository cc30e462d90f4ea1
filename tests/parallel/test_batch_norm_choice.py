"""`parallel.batch_norm per_device` is written as the ghost batch that it means, and bad ones are refused."""

import dataclasses

import pytest

from cnn_jax.config import Config, ConfigError, DataConfig, ModelConfig, ParallelConfig, identity
from cnn_jax.runs.derive import derive, resolve_batch_norm

CONFIG = Config(
    model=ModelConfig("resnet8_cifar"),
    data=DataConfig("digits", batch_size=64),
    parallel=ParallelConfig(batch_norm="per_device", accumulate=2),
)
SIZES = {"num_examples": 1000, "num_classes": 10}


def test_per_device_statistics_are_ghost_batches_of_a_devices_rows():
    settled = resolve_batch_norm(CONFIG, num_devices=8)
    assert settled.model.ghost_batch == 4
    assert settled.parallel.batch_norm == "global"
    assert resolve_batch_norm(settled, num_devices=2) == settled  # and stay so on other devices


def test_per_device_statistics_are_part_of_the_identity():
    identities = {identity(resolve_batch_norm(CONFIG, num_devices=n)) for n in (1, 2, 8)}
    assert len(identities) == 3


def test_the_device_layout_is_not_part_of_the_identity():
    layouts = [
        ParallelConfig(strategy="fsdp"),
        ParallelConfig(distributed=True, coordinator="h:1", num_processes=2, process_id=1),
    ]
    assert {identity(dataclasses.replace(CONFIG, parallel=p)) for p in layouts} == {
        identity(Config(model=CONFIG.model, data=CONFIG.data))
    }


def test_per_device_and_a_ghost_batch_contradict_each_other():
    model = dataclasses.replace(CONFIG.model, ghost_batch=8)
    with pytest.raises(ConfigError, match="give one"):
        resolve_batch_norm(dataclasses.replace(CONFIG, model=model), num_devices=8)


@pytest.mark.parametrize(
    ("ghost_batch", "parallel", "message"),
    [
        (16, ParallelConfig(strategy="pmap"), "it must divide the 8 rows"),
        (24, ParallelConfig(), "it must divide the 64 rows"),
        (0, ParallelConfig(), "it must be positive, or None for the whole batch"),
        (None, ParallelConfig(accumulate=0), "it must be positive"),
        (None, ParallelConfig(accumulate=3), "8 devices and 3 micro-batches; the nearest that does is 72"),
    ],
)
def test_what_does_not_divide_is_refused(ghost_batch, parallel, message):
    model = dataclasses.replace(CONFIG.model, ghost_batch=ghost_batch)
    config = dataclasses.replace(CONFIG, model=model, parallel=parallel)
    with pytest.raises(ConfigError, match=message):
        derive(config, **SIZES, num_devices=8)
