"""What the readers of archives hand to the store: examples in the archive's own order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RawSplit:
    """The examples of one split of small images.

    Attributes:
      images: uint8 [H, W, C] arrays of one shape (an array [n, H, W, C] is such a sequence); read once, in order.
      labels: one per image, 0 .. num_classes − 1; −1 for all where the split is not labelled.
    """

    images: Iterable[np.ndarray]
    labels: Sequence[int] | np.ndarray
    labelled: bool = True

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        for image, label in zip(self.images, self.labels, strict=True):
            yield image, int(label)


@dataclass(frozen=True)
class EncodedExample:
    """One image file: its bytes as they are, its label, and its name in the archive; and why it could not be read."""

    content: bytes
    label: int
    name: str
    error: str | None = None


@dataclass(frozen=True)
class EncodedSplit:
    """The examples of one split of image files, of any size and format.

    Attributes:
      examples: read once, in order.
      expected: how many there will be at most (fewer where bad files are skipped), for the progress.
    """

    examples: Iterable[EncodedExample]
    expected: int

    def __len__(self) -> int:
        return self.expected

    def __iter__(self) -> Iterator[EncodedExample]:
        return iter(self.examples)


Splits = Mapping[str, RawSplit] | Mapping[str, EncodedSplit]

# (height, width, channels); height and width are None for image files of any size.
ImageShape = tuple[int, int, int] | tuple[None, None, int]
