"""The data of a run, as its configuration describes them: how images are changed, and the splits."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from cnn_jax import names
from cnn_jax.config import Config, ConfigError, named
from cnn_jax.config.parts import TFDS
from cnn_jax.data import (
    Chain,
    ChoiceError,
    Dataset,
    DatasetInfo,
    DatasetSpec,
    Mix,
    UnpreparedError,
    describe_dataset,
    holds_files,
    load_dataset,
    own_spec,
    parse_augment,
    parse_mix,
    parse_views,
    take_subset,
    tfds_spec,
)
from cnn_jax.data.augmentation.views import Views, seen_shape
from cnn_jax.data.decoding.host_crop import HostCrop
from cnn_jax.runs.parts import operations, own_part
from cnn_jax.signatures import bind


def data_source(config: Config) -> str | DatasetSpec:
    """The name of the data set in the catalogue, or an entry for one of one's own, or of TFDS.

    Raises:
      ConfigError: where there is no such function.
      DataError: where it returns no data set.
    """
    name = str(config.data.name)
    if name.startswith(TFDS):
        return tfds_spec(name.removeprefix(TFDS))
    if ":" not in name.partition("(")[0]:
        return name
    with named("data.name"):
        part, _, _ = own_part(config, name, "data set")
    return _own(part, name, config.seed, config.data.root)


@functools.lru_cache(maxsize=1)  # a data set may take long to be read
def _own(part: Callable[..., Any], text: str, seed: int, root: str | None) -> DatasetSpec:
    name, arguments = names.split(text)
    with named("data.name"):
        read = bind(part, arguments, name, "split", seed=seed, root=root)
    return own_spec(read, name)


def forget_data() -> None:
    """Own data sets are read again: they may have changed since the last command."""
    _own.cache_clear()


def has_test(config: Config) -> bool:
    """Whether the data set has a test split, or one that plays its part; all of the catalogue have."""
    source = data_source(config)
    return isinstance(source, str) or source.test in source.splits


def parse_chains(config: Config, info: DatasetInfo | None = None) -> tuple[Chain, Chain]:
    """The operations of training and of evaluation.

    Args:
      info: of the data set, where it is known and need not be sought.

    Raises:
      ConfigError: naming the key, or the unknown data set.
    """
    data = config.data
    with named("data.name"):
        files = holds_files(data_source(config)) if info is None else info.are_files
    offered = {"key": None, "interpolation": data.interpolation}
    specs = operations(config, "data.eval_augment", "image", **offered)
    with named("data.eval_augment"):  # first, because imported weights have the same for training
        eval_augment = parse_augment(specs, files=files, allow_random=False, interpolation=data.interpolation)
    specs = operations(config, "data.augment", "image", **offered)
    with named("data.augment"):
        augment = parse_augment(specs, files=files, interpolation=data.interpolation)
    return augment, eval_augment


def parse_mixes(config: Config) -> Mix:
    """How training batches are mixed; raises ConfigError, naming the key."""
    mixes = operations(config, "data.mix", "key", "images", "targets")
    with named("data.mix"):
        return parse_mix(mixes)


def seen_at_evaluation(
    config: Config, eval_augment: Chain, info: DatasetInfo
) -> tuple[Views | None, tuple[int, int, int]]:
    """The views of an image that are averaged, and the shape (H, W, C) of one; raises ConfigError, naming the key."""
    with named("data.eval_views"):
        views = parse_views(config.data.eval_views) if config.data.eval_views else None
    with named("data.eval_augment"):
        shape = eval_augment.output_shape(info.image_shape)
    with named("data.eval_views"):
        return views, seen_shape(shape, views)


def load_split(config: Config, split: str, chain: Chain) -> Dataset:
    """A split as it is stored, its image files cropped by the chain's host; raises as `load_from`."""
    return load_from(data_source(config), config, split, chain.host)


def load_from(source: str | DatasetSpec, config: Config, split: str, crop: HostCrop | None) -> Dataset:
    """A split of a source, held out and read as a configuration says.

    Raises:
      ConfigError: where there is no such data set or split.
      DataError: as `load_dataset`.
    """
    data = config.data
    try:
        return load_dataset(
            source,
            split,
            root=data.root,
            validation_fraction=data.validation_fraction,
            folder=data.folder,
            crop=crop,
            on_error=data.on_error,
            seed=config.seeds.split or 0,
        )
    except ChoiceError as error:
        raise ConfigError(f"`data.name` {data.name}: {error}") from error


def load_or_describe(config: Config, split: str, chain: Chain) -> DatasetInfo:
    """What is known about a split; of a set that is not prepared, if the configuration says the rest."""
    data = config.data
    try:
        return load_split(config, split, chain).info
    except UnpreparedError:
        if not (data.mean and data.std) or ":" in str(data.name):
            raise
    return describe_dataset(str(data.name), split, crop=chain.host)


def load_training(config: Config, chain: Chain) -> Dataset:
    """The examples to train on: the training split, or the part of it that the configuration asks for."""
    data = config.data
    return take_subset(
        load_split(config, "train", chain),
        seed=config.seed if config.seeds.split is None else config.seeds.split,
        examples_per_class=data.examples_per_class,
        class_fractions=data.class_fractions,
        label_noise=data.label_noise,
    )


def with_convention(info: DatasetInfo, config: Config) -> DatasetInfo:
    """The data set's description, with the mean and deviation that the configuration gives.

    Raises:
      ConfigError: when they are not for these channels.
    """
    for key in ("mean", "std"):
        values = getattr(config.data, key)
        if values and len(values) not in (1, info.image_shape[-1]):
            raise ConfigError(f"`data.{key}` has {len(values)} values for {info.image_shape[-1]} channels.")
    return dataclasses.replace(info, mean=config.data.mean or info.mean, std=config.data.std or info.std)
