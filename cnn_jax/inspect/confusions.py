"""Which class is taken for which."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int


def confusion(
    labels: Int[np.ndarray, "n"], predicted: Int[np.ndarray, "n"], num_classes: int
) -> Int[np.ndarray, "k k"]:
    """How often an example of a class (row) is taken for a class (column)."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def commonest_confusions(
    counts: Int[np.ndarray, "k k"], names: Sequence[str], most: int = 10
) -> list[tuple[str, str, float]]:
    """The confusions of most examples: the true class, what it is taken for, and the part of the class."""
    off = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    order = np.argsort(-off, axis=None, kind="stable")[:most]
    pairs = [divmod(int(i), len(counts)) for i in order]
    return [(names[i], names[j], float(off[i, j] / counts[i].sum())) for i, j in pairs if off[i, j]]
