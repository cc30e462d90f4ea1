"""What every data set looks like to its users, and the one kind that is held in memory."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Int, UInt8


@dataclass(frozen=True)
class DatasetInfo:
    """What is known about a split of a data set.

    Attributes:
      image_shape: (height, width, channels) of the images that `Dataset.images` returns.
      mean, std: per channel, of the training images scaled to 0..1; the whole official training split, validation
        included. Of sets of image files, ImageNet's.
      version: of the stored set; the contents never change under one version.
      skipped: the image files that could not be decoded and were left out when the set was prepared.
      are_files: whether its images are files of any size, brought to one while they are decoded.
    """

    name: str
    split: str
    num_examples: int
    num_classes: int
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    version: str
    skipped: tuple[str, ...] = ()
    are_files: bool = False


class Dataset(Protocol):
    """A split of a data set: labels at hand, images by index, both by whole batches."""

    @property
    def info(self) -> DatasetInfo: ...

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """int32, each in 0 .. num_classes − 1."""
        ...

    def __len__(self) -> int: ...

    def images(
        self, indices: Int[np.ndarray, " b"], *, epoch: Int[np.ndarray, " b"] | None = None, seed: int = 0
    ) -> UInt8[np.ndarray, "b h w c"]:
        """The images at `indices`.

        Sets that decode on the host draw each random crop from (seed, epoch, index); without `epoch` they crop as for
        evaluation.
        """
        ...


class ArrayDataset:
    """A split whose images are one array, in memory or memory-mapped; indexing is a single gather."""

    def __init__(
        self,
        images: UInt8[np.ndarray, "n h w c"],
        labels: Int[np.ndarray, " n"],
        info: DatasetInfo,
        *,
        rows: Int[np.ndarray, " m"] | None = None,
    ) -> None:
        """Keep `images` and `labels` without a copy of the images.

        Args:
          rows: which rows of `images` and `labels` belong to this split, in order; None means all of them.
        """
        self._images = images
        self._rows = rows
        self.labels = np.ascontiguousarray(labels if rows is None else labels[rows], np.int32)
        self.info = info

    def __len__(self) -> int:
        return len(self.labels)

    def images(
        self, indices: Int[np.ndarray, " b"], *, epoch: Int[np.ndarray, " b"] | None = None, seed: int = 0
    ) -> UInt8[np.ndarray, "b h w c"]:
        """The images at `indices`; nothing about them is random, so `epoch` and `seed` do not matter."""
        return self._images[indices if self._rows is None else self._rows[indices]]
