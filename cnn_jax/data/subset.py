"""Smaller, unbalanced and mislabelled versions of a training split, for ablations: each a function of the seed."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int, UInt8

from cnn_jax.data.dataset import Dataset, DatasetInfo
from cnn_jax.data.errors import ChoiceError
from cnn_jax.data.order import LABEL_NOISE, SUBSET, random_words


class Subset:
    """Some examples of another split, in the order of `rows`, with labels of its own."""

    def __init__(self, base: Dataset, rows: Int[np.ndarray, " m"], labels: Int[np.ndarray, " m"]) -> None:
        self._base, self._rows = base, rows
        self.labels = np.ascontiguousarray(labels, np.int32)

    @property
    def info(self) -> DatasetInfo:
        """The base's, with this number of examples; mean and std stay the whole set's."""
        return replace(self._base.info, num_examples=len(self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    def images(
        self, indices: Int[np.ndarray, " b"], *, epoch: Int[np.ndarray, " b"] | None = None, seed: int = 0
    ) -> UInt8[np.ndarray, "b h w c"]:
        """The images at `indices` of this subset."""
        return self._base.images(self._rows[indices], epoch=epoch, seed=seed)


def take_subset(
    dataset: Dataset,
    *,
    seed: int,
    examples_per_class: int | None = None,
    class_fractions: Sequence[float] = (),
    label_noise: float = 0.0,
) -> Dataset:
    """The data set changed as asked, or itself where nothing is asked.

    Smaller subsets of one seed lie within larger ones, and on one subset noise of a lower rate lies within noise of a
    higher rate (those labels are equally wrong), so a sweep changes one thing at a time.

    Args:
      examples_per_class: keeps that many of each class.
      class_fractions: keeps this part of each class, in label order, rounded to whole examples; empty keeps all.
      label_noise: the part of the kept examples, over all classes, whose label becomes one of the others, uniformly.

    Raises:
      ChoiceError: where a class has fewer examples than asked for, or a fraction or rate is not in 0..1.
    """
    if examples_per_class is None and not class_fractions and label_noise == 0:
        return dataset
    num_classes, labels = dataset.info.num_classes, dataset.labels
    rows = _keep(labels, _quotas(labels, num_classes, examples_per_class, class_fractions), seed)
    return Subset(dataset, rows, noisy_labels(labels, num_classes, label_noise, seed, rows=rows)[rows])


def _quotas(
    labels: np.ndarray, num_classes: int, examples_per_class: int | None, class_fractions: Sequence[float]
) -> np.ndarray:
    """How many examples of each class to keep."""
    sizes = np.bincount(labels, minlength=num_classes)
    quotas = sizes
    if examples_per_class is not None:
        if not 1 <= examples_per_class <= sizes.min():
            raise ChoiceError(
                f"`examples_per_class` must be from 1 to {sizes.min()}, the size of the smallest class, "
                f"got {examples_per_class}."
            )
        quotas = np.full(num_classes, examples_per_class)
    if class_fractions:
        if len(class_fractions) != num_classes or not all(0 <= fraction <= 1 for fraction in class_fractions):
            raise ChoiceError(
                f"`class_fractions` must be {num_classes} numbers from 0 to 1, got {tuple(class_fractions)}."
            )
        quotas = np.rint(quotas * np.asarray(class_fractions)).astype(int)
    if not quotas.sum():
        raise ChoiceError(f"`class_fractions` {tuple(class_fractions)} leave no example.")
    return quotas


def _keep(labels: np.ndarray, quotas: np.ndarray, seed: int) -> np.ndarray:
    """The examples of each class with the smallest random words, in their old order."""
    shuffled = np.argsort(random_words(seed, 0, len(labels), purpose=SUBSET), kind="stable")
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    ordered = labels[by_class]
    rank = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    return np.sort(by_class[rank < quotas[ordered]])


def noisy_labels(
    labels: Int[np.ndarray, " n"],
    num_classes: int,
    rate: float,
    seed: int,
    *,
    rows: Int[np.ndarray, " m"] | None = None,
) -> Int[np.ndarray, " n"]:
    """Change round(rate · m) of the labels at `rows` (None: all) to another class, each other class equally likely."""
    if not 0 <= rate <= 1:
        raise ChoiceError(f"`label_noise` must be from 0 to 1, got {rate}.")
    order = np.argsort(random_words(seed, 0, len(labels), purpose=LABEL_NOISE), kind="stable")
    if rows is not None:
        order = order[np.isin(order, rows)]
    chosen = order[: round(rate * len(order))]
    steps = random_words(seed, 1, len(labels), purpose=LABEL_NOISE)[chosen] % np.uint64(max(num_classes - 1, 1))
    changed = labels.copy()
    changed[chosen] = (labels[chosen] + 1 + steps.astype(np.int64)) % num_classes
    return changed
