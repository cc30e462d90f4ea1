"""The data of a run, as its configuration describes them: how images are changed, and the splits."""

from cnn_jax.config import Config, ConfigError
from cnn_jax.data import (
    Chain,
    ChoiceError,
    Dataset,
    DatasetInfo,
    UnpreparedError,
    describe_dataset,
    holds_files,
    load_dataset,
    parse_augment,
    take_subset,
)
from cnn_jax.runs.naming import named
from cnn_jax.runs.parts import operations


def parse_chains(config: Config) -> tuple[Chain, Chain]:
    """The operations of training and of evaluation.

    Raises:
      ConfigError: naming the key, or the unknown data set.
    """
    data = config.data
    with named("data.name"):
        files = holds_files(data.name)
    offered = {"key": None, "interpolation": data.interpolation}
    specs = operations(config, "data.eval_augment", "image", **offered)
    with named("data.eval_augment"):  # first, because imported weights have the same for training
        eval_augment = parse_augment(specs, files=files, allow_random=False, interpolation=data.interpolation)
    specs = operations(config, "data.augment", "image", **offered)
    with named("data.augment"):
        augment = parse_augment(specs, files=files, interpolation=data.interpolation)
    return augment, eval_augment


def load_split(config: Config, split: str, chain: Chain) -> Dataset:
    """A split as it is stored, its image files cropped by the chain's host.

    Raises:
      ConfigError: where there is no such data set or split.
      DataError: as `load_dataset`.
    """
    data = config.data
    try:
        return load_dataset(
            data.name,
            split,
            root=data.root,
            validation_fraction=data.validation_fraction,
            folder=data.folder,
            crop=chain.host,
            on_error=data.on_error,
        )
    except ChoiceError as error:
        raise ConfigError(f"`data.name` {data.name}: {error}") from error


def load_or_describe(config: Config, split: str, chain: Chain) -> DatasetInfo:
    """What is known about a split; of a set that is not prepared, if the configuration says the rest."""
    data = config.data
    try:
        return load_split(config, split, chain).info
    except UnpreparedError:
        if not (data.mean and data.std):
            raise
    return describe_dataset(data.name, split, crop=chain.host)


def load_training(config: Config, chain: Chain) -> Dataset:
    """The examples to train on: the training split, or the part of it that the configuration asks for."""
    data = config.data
    return take_subset(
        load_split(config, "train", chain),
        seed=config.seed,
        examples_per_class=data.examples_per_class,
        class_fractions=data.class_fractions,
        label_noise=data.label_noise,
    )
