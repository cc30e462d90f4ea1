"""What the readers of archives hand to the store: examples in the archive's own order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RawSplit:
    """The examples of one split.

    Attributes:
        images: uint8 [H, W, C] arrays of one shape (an array [n, H, W, C] is such a sequence), or encoded files as
        bytes; read once, in order.
        labels: one per image, 0 .. num_classes − 1; −1 for all where the split is not labelled.
    """

    images: Iterable[np.ndarray] | Iterable[bytes]
    labels: Sequence[int] | np.ndarray
    labelled: bool = True

    def __len__(self) -> int:
        return len(self.labels)
