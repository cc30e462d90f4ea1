"""A data set of the catalogue that is not prepared: what its images and classes are, without any of its examples."""

from cnn_jax.data.dataset import DatasetInfo
from cnn_jax.data.decoding.host_crop import HostCrop
from cnn_jax.data.sets.catalogue import dataset_spec


def describe_dataset(name: str, split: str, *, crop: HostCrop | None = None) -> DatasetInfo:
    """What is known about a split before its data set is prepared; its mean and deviation are not.

    Args:
      name: as `cnn-jax data list` shows it.
      split: "train" or "test"; what is held out for validation still counts as "train".
      crop: of a set of image files, as in `load_dataset`.

    Raises:
      ChoiceError: for an unknown name.
    """
    spec = dataset_spec(name)
    height, width, channels = spec.image_shape if crop is None else crop.image_shape
    return DatasetInfo(
        name=name,
        split=split,
        num_examples=spec.splits[spec.test if split == "test" else split],
        num_classes=spec.num_classes,
        image_shape=(height or 0, width or 0, channels),
        class_names=spec.class_names,
        mean=(),
        std=(),
        version=spec.version,
        are_files=crop is not None,
    )
