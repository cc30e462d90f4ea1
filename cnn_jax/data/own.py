"""Data sets that are not in the catalogue: those that a function of one's own returns, and those that TFDS prepared."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from cnn_jax.data.errors import DataError, UnpreparedError
from cnn_jax.data.load import SPLITS
from cnn_jax.data.sets.catalogue import ANY_SIZE, DatasetSpec
from cnn_jax.data.sets.image_folder import read_files
from cnn_jax.data.sets.raw import EncodedExample, EncodedSplit, ImageShape, RawSplit, Splits
from cnn_jax.data.store.root import find_prepared


@dataclass(frozen=True)
class Images:
    """The examples of a split of one's own data set.

    Attributes:
      images: uint8 [n, H, W, C] with one channel or three; or the paths of n image files of any size.
      labels: one each, 0 .. len(class_names) − 1.
      class_names: in the order of the labels, the same in every split.
    """

    images: UInt8[np.ndarray, "n h w c"] | Sequence[str | Path]
    labels: Int[np.ndarray, " n"] | Sequence[int]
    class_names: Sequence[str]

    @property
    def are_files(self) -> bool:
        """Whether they are paths."""
        return not isinstance(self.images, np.ndarray)


def own_spec(read: Callable[[str], Images | None], name: str) -> DatasetSpec:
    """An entry for what a function returns for "train", "validation" and "test", under a name that changes with it.

    It is stored below the root once, as the other sets are, and read from there.

    Args:
      read: gives the examples of a split, or None where there is no such split. There is a training split.
      name: of the function.

    Raises:
      DataError: for what is no data set.
    """

    def every() -> dict[str, Images]:
        return {split: examples for split in SPLITS if (examples := read(split)) is not None}

    found = every()
    if "train" not in found:
        raise DataError(f"{name}('train') returns None; a data set has a training split.")
    for split, examples in found.items():
        _check(examples, found["train"], f"{name}({split!r})")
    first, digest = found["train"], hashlib.sha256()
    for split, examples in found.items():
        digest.update(f"{split}\0{len(examples.labels)}\0".encode())
        digest.update(np.asarray(examples.labels, "<i8").tobytes())
        for part in _parts(examples):
            digest.update(part)
    digest.update("\0".join(first.class_names).encode())
    shape: ImageShape = ANY_SIZE if first.are_files else first.images.shape[1:]  # type: ignore[union-attr]
    slug = re.sub(r"[^A-Za-z0-9]+", "_", name.rpartition(":")[2]).strip("_")

    def splits(archives: Path | None) -> Splits:
        return {split: _stored(examples) for split, examples in every().items()}  # type: ignore[return-value]

    return DatasetSpec(
        f"own/{slug}-{digest.hexdigest()[:12]}",
        splits,
        shape,
        tuple(first.class_names),
        {split: len(examples.labels) for split, examples in found.items()},
        source="bundled",
    )


def tfds_spec(name: str) -> DatasetSpec:
    """An entry for a set of images with labels that TFDS prepared as array_record: `NAME` or `NAME/CONFIG`.

    It is sought where TFDS keeps its sets, in $TFDS_DATA_DIR or ~/tensorflow_datasets, and the newest version taken.

    Raises:
      UnpreparedError: where it is not prepared.
      DataError: where it holds no images with labels, no training split, or records that need TensorFlow.
    """
    import tensorflow_datasets as tfds

    root = Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")
    folder = find_prepared(root, name)
    if folder is None:
        command = f"tfds build {name} --file_format=array_record"
        raise UnpreparedError(f"TFDS has not prepared {name} below {root} ($TFDS_DATA_DIR); run `{command}`.")
    info = tfds.builder_from_directory(folder).info
    if info.file_format is not None and info.file_format.value != "array_record":
        raise DataError(
            f"{folder} is stored as {info.file_format.value}, which needs TensorFlow to be read; run "
            f"`tfds convert_format --root_data_dir {root} --out_file_format array_record`, or build it so."
        )
    features = info.features
    if not {"image", "label"} <= set(features):
        raise DataError(f"{folder} holds {', '.join(features)}; a classifier needs image and label.")
    shape = features["image"].shape
    given = {split: info.splits[split].num_examples for split in SPLITS if split in info.splits}
    if "train" not in given:
        raise DataError(f"{folder} has the splits {', '.join(info.splits)}, and none is called train.")
    one_size = None not in shape

    def splits(archives: Path | None) -> Splits:
        builder, found = tfds.builder_from_directory(folder), dict[str, Any]()
        decoders = None if one_size else {"image": tfds.decode.SkipDecoding()}
        for split in given:
            source = builder.as_data_source(split, decoders=decoders)
            labels = np.array([example["label"] for example in source], np.int32)
            images = (example["image"] for example in source)
            named = (f"{name} {split} {number}" for number in range(len(labels)))
            files = map(EncodedExample, (example["image"] for example in source), labels.tolist(), named)
            found[split] = RawSplit(images, labels) if one_size else EncodedSplit(files, len(labels))
        return found

    return DatasetSpec(
        f"tfds/{name}",
        splits,
        shape if one_size else ANY_SIZE,
        tuple(features["label"].names),
        given,
        source="bundled",
        test="test" if "test" in given or "validation" not in given else "validation",
        version=folder.name,
    )


def _check(examples: Images, first: Images, what: str) -> None:
    """Refuses examples that are no split of a data set, or not of the same as the first."""
    if not isinstance(examples, Images):
        raise DataError(f"{what} must return cnn_jax.Images, got {type(examples).__name__}.")
    names, labels = tuple(examples.class_names), np.asarray(examples.labels)
    if len(set(names)) < max(2, len(names)) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{what}: class_names must be two or more different texts, got {names}.")
    if labels.ndim != 1 or not len(labels) or labels.dtype.kind not in "iu":
        raise DataError(f"{what}: labels must be integers [n], got {labels.dtype} {labels.shape}.")
    if labels.min() < 0 or labels.max() >= len(names):
        raise DataError(f"{what}: labels are from {labels.min()} to {labels.max()}, with {len(names)} class names.")
    if len(examples.images) != len(labels):
        raise DataError(f"{what} has {len(examples.images)} images and {len(labels)} labels.")
    images = examples.images
    if isinstance(images, np.ndarray) and (
        images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape
    ):
        raise DataError(
            f"{what}: images must be uint8 [n, H, W, C] with one channel or three, got {images.dtype} {images.shape}; "
            "or paths of image files."
        )
    if names != tuple(first.class_names):
        raise DataError(f"{what} has other class names than the training split.")
    kinds = ["files" if e.are_files else e.images.shape[1:] for e in (examples, first)]  # type: ignore[union-attr]
    if kinds[0] != kinds[1]:
        raise DataError(f"{what} holds images {kinds[0]}, and the training split {kinds[1]}.")


def _parts(examples: Images) -> Iterator[bytes]:
    """What tells the images of a split from others: their bytes, or the paths, sizes and times of files."""
    if isinstance(examples.images, np.ndarray):
        for image in examples.images:
            yield image.tobytes()
        return
    for path in map(Path, examples.images):
        try:
            state = path.stat()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        yield f"{path}\0{state.st_size}\0{state.st_mtime_ns}\n".encode("utf-8", "surrogateescape")


def _stored(examples: Images) -> RawSplit | EncodedSplit:
    if isinstance(examples.images, np.ndarray):
        return RawSplit(examples.images, np.asarray(examples.labels, np.int32))
    files = zip(map(Path, examples.images), map(int, examples.labels), strict=True)
    return EncodedSplit(read_files(Path(), files), len(examples.labels))
