"""The examples of another data set, under the labels of a run that knows its classes."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt8

from cnn_jax.config import ConfigError
from cnn_jax.data import Dataset, DatasetInfo
from cnn_jax.data.decoding.encoded import EncodedDataset
from cnn_jax.nearest import nearest_names

_SHOWN = 10  # names of classes in a message


class Relabelled:
    """The examples of a data set, with the labels of a run that knows its classes in another order, or more of them."""

    def __init__(self, base: Dataset, own: DatasetInfo, name: str, split: str) -> None:
        """Looks for the classes by their names.

        Args:
          name, split: what to call it.

        Raises:
          ConfigError: where there is one that the run does not know, or examples have no labels.
        """
        theirs = base.info.class_names
        refuse_unknown(theirs, own.class_names, f"`data.name` {name}")
        check_labels(base)
        self._base = base
        label_of = np.array([own.class_names.index(name) for name in theirs], np.int32)
        self.labels = label_of[base.labels]
        self.info = dataclasses.replace(
            base.info,
            name=name,
            split=split,
            class_names=own.class_names,
            num_classes=own.num_classes,
            mean=own.mean,
            std=own.std,
        )
        present = set(self.labels.tolist())
        self.missing = [name for label, name in enumerate(own.class_names) if label not in present]

    def __len__(self) -> int:
        return len(self.labels)

    def images(
        self, indices: Int[np.ndarray, " b"], *, epoch: Int[np.ndarray, " b"] | None = None, seed: int = 0
    ) -> UInt8[np.ndarray, "b h w c"]:
        """The base's."""
        return self._base.images(indices, epoch=epoch, seed=seed)

    def file_names(self) -> list[str]:
        """The base's; empty where it is of no files."""
        return example_names(self._base)


def example_names(dataset: Dataset) -> list[str]:
    """What to call the examples of a split: the names of their files, where it is of files, else their numbers."""
    found = dataset.file_names() if isinstance(dataset, (EncodedDataset, Relabelled)) else []
    return [name or str(number) for number, name in enumerate(found or [""] * len(dataset))]


def check_labels(dataset: Dataset) -> None:
    """Refuses examples without labels.

    Raises:
      ConfigError: naming the split.
    """
    if dataset.labels.min() < 0:
        raise ConfigError(f"the split {dataset.info.split} of {dataset.info.name} has no labels to compare with.")


def refuse_unknown(theirs: Sequence[str], ours: Sequence[str], what: str) -> None:
    """Refuses names of classes that the run does not know.

    Args:
      theirs: the names in question.
      ours: the run's.
      what: has them, for the message.

    Raises:
      ConfigError: naming them, and the nearest of the run's.
    """
    unknown = [name for name in theirs if name not in set(ours)]
    if not unknown:
        return
    near = nearest_names(unknown[0], ours, most=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    raise ConfigError(
        f"{what} has classes that the run does not know: {_list(unknown)}.{meant} The run's are {_list(ours)}."
    )


def _list(texts: Sequence[str]) -> str:
    return ", ".join([*texts[:_SHOWN], *([f"… ({len(texts)} in all)"] if len(texts) > _SHOWN else [])])
