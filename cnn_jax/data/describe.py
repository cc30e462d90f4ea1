"""A known data set that is not prepared: what its images and classes are, without any of its examples."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt8

from .dataset import DatasetInfo
from .decoding.decode import HostCrop, crop_image
from .decoding.host_crop import parse_host_crop
from .decoding.images import fit_image
from .errors import UnpreparedError
from .interpolation import Interpolation
from .sets.catalogue import ANY_SIZE, known_set
from .store.prepare import unprepared


@dataclasses.dataclass(frozen=True)
class DescribedDataset:
    """A split of which all is known but the examples: enough to name classes and to bring new images to its size."""

    info: DatasetInfo
    unprepared: UnpreparedError
    """What asking for examples raises."""
    crop: HostCrop | None = None
    """How image files are brought to one size; None for sets whose images have one."""

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """Raises UnpreparedError."""
        raise self.unprepared

    @property
    def num_host_specs(self) -> int:
        """As those of the prepared set."""
        return self.crop.num_specs if self.crop else 0

    def __len__(self) -> int:
        return self.info.num_examples

    def with_augment(self, augment: Sequence[str]) -> "DescribedDataset":
        """The same split, for another augmentation list; raises as `parse_host_crop`."""
        if self.crop is None:
            return self
        crop = parse_host_crop(augment, self.info.interpolation)
        info = dataclasses.replace(self.info, image_shape=(crop.height, crop.width, 3))
        return dataclasses.replace(self, info=info, crop=crop)

    def fit(self, image: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h2 w2 c2"]:
        """An image from elsewhere, brought to the size and channels that the set's own images would have."""
        if self.crop is None:
            return fit_image(image, self.info.image_shape, self.info.interpolation)
        return crop_image(image, self.crop)

    def images(
        self, indices: Int[np.ndarray, " b"], *, epoch: Int[np.ndarray, " b"] | None = None, seed: int = 0
    ) -> UInt8[np.ndarray, "b h w c"]:
        """Raises UnpreparedError."""
        raise self.unprepared


def describe_dataset(
    name: str,
    split: str,
    *,
    root: str | os.PathLike[str] | None = None,
    augment: Sequence[str] = (),
    interpolation: Interpolation = "bilinear",
) -> DescribedDataset:
    """What is known about a split before its data set is prepared; its mean and deviation are not.

    Args:
        name: as `cnn-jax data list` shows it.
        split: "train" or "test"; what is held out for validation still counts as "train".
        root: the folder of prepared sets, for the message.
        augment, interpolation: bring image files to one size, as in `load_dataset`.

    Raises:
        DataError: for an unknown name, or a list that does not bring image files to one size.
    """
    known = known_set(name)
    any_size = known.image_shape == ANY_SIZE
    crop = parse_host_crop(augment, interpolation) if any_size else None
    height, width, channels = (crop.height, crop.width, 3) if crop else known.image_shape
    info = DatasetInfo(
        name=name,
        split=split,
        num_examples=known.splits[known.test if split == "test" else split],
        num_classes=known.num_classes,
        image_shape=(height or 0, width or 0, channels),
        class_names=known.class_names,
        mean=(),
        std=(),
        version=known.version,
        interpolation=interpolation,
    )
    return DescribedDataset(info, unprepared(known, root), crop)
