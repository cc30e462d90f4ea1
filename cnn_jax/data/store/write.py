"""Writing a set: examples from a reader become TFDS records, without TensorFlow and without a network."""

import contextlib
import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.errors import DataError
from cnn_jax.data.sets.raw import EncodedExample, EncodedSplit, ImageShape, RawSplit, Splits
from cnn_jax.data.store.arrays import write_labels
from cnn_jax.data.store.checksums import note_checksums
from cnn_jax.data.store.names import CLASS_NAMES, class_names_text, survive_tfds
from cnn_jax.data.store.root import preparation
from cnn_jax.logs import untouched_logging

Report = Callable[[str, int, int], None]


@untouched_logging()
def write_set(
    root: Path,
    name: str,
    version: str,
    splits: Splits,
    image_shape: ImageShape,
    class_names: tuple[str, ...],
    *,
    extras: Callable[[], Mapping[str, str]] = dict,
    report: Report | None = None,
) -> Path:
    """Store `splits` as the array_record set ROOT/NAME/VERSION with features "image" and "label".

    The folder appears in one rename when everything is written. The examples keep the archive's order, so an index
    means the same example in every preparation. Image files are stored as they are, beside their "file_name".

    Args:
      image_shape: (height, width, channels); height and width are None for image files.
      extras: gives the small text files that belong to the set, by name; called when all examples are written.
      report: is called as report(split, examples written, examples in the split) now and then.

    Raises:
      DataError: where the root cannot be written, or a label is outside the classes.
    """
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    folder = root / name / version
    with preparation(root, name) as work:
        if (folder / "dataset_info.json").exists():  # another process prepared it while we waited for the lock
            return folder
        labels: dict[str, list[int]] = {split: [] for split in splits}
        streams = {
            split: _records(name, split, examples, len(class_names), labels[split], report)
            for split, examples in splits.items()
        }
        builder = _builder(name, version, streams, image_shape, class_names, work)
        quiet = contextlib.redirect_stdout(io.StringIO())  # standard output is the command's own
        with quiet, _as_os_error():
            builder.download_and_prepare(
                download_dir=work / "downloads", download_config=tfds.download.DownloadConfig(try_download_gcs=False)
            )
        built = Path(builder.data_path)
        if image_shape[0] is None:  # so that no start has to read all files for their labels
            write_labels(built, class_names, {split: np.array(found, np.int32) for split, found in labels.items()})
        for file, text in {**extras(), CLASS_NAMES: class_names_text(class_names)}.items():
            (built / file).write_text(text)
        note_checksums(built, (path.name for path in built.iterdir() if path.suffix in (".json", ".txt")))
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(built, folder)
    return folder


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    """array_record raises RuntimeError on a full disk."""
    try:
        yield
    except RuntimeError as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, str(error)) from error
        raise


def _records(
    name: str,
    split: str,
    examples: RawSplit | EncodedSplit,
    num_classes: int,
    labels: list[int],
    report: Report | None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The keys and features that TFDS stores; the labels are noted in `labels`."""
    total, lowest = len(examples), 0 if isinstance(examples, EncodedSplit) or examples.labelled else -1
    each: Iterator[EncodedExample | tuple[np.ndarray, int]] = iter(examples)
    for key, example in enumerate(each):
        if isinstance(example, EncodedExample):
            label = example.label
            record: dict[str, Any] = {"image": io.BytesIO(example.content), "label": label, "file_name": example.name}
        else:
            image, label = example
            record = {"image": image, "label": label}
        if not lowest <= label < num_classes:
            raise DataError(
                f"{name}: example {key} of {split} has the label {label}, but there are only {num_classes} classes "
                f"(0 .. {num_classes - 1}); the archive is damaged."
            )
        labels.append(label)
        yield key, record
        if report and key % 500 == 0:
            report(split, key + 1, total)
    if not labels:
        raise DataError(f"{name}: no image of {split} can be used; add images, or remove the folder of that split.")
    if report:
        report(split, total, total)


def _builder(
    name: str,
    version: str,
    streams: Mapping[str, Iterator[tuple[int, dict[str, Any]]]],
    image_shape: ImageShape,
    class_names: tuple[str, ...],
    work: Path,
) -> Any:
    import tensorflow_datasets as tfds

    features = {
        "image": tfds.features.Tensor(shape=image_shape, dtype=np.uint8),
        "label": tfds.features.ClassLabel(
            **({"names": list(class_names)} if survive_tfds(class_names) else {"num_classes": len(class_names)})
        ),
    }
    if image_shape[0] is None:
        features["image"] = tfds.features.Image(shape=image_shape, encoding_format="jpeg")
        features["file_name"] = tfds.features.Text()

    class OfflineInfo(tfds.core.DatasetInfo):
        def initialize_from_bucket(self) -> None:
            """Do not look the set up in TFDS's bucket: without a network that blocks for minutes."""

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        VERSION = tfds.core.Version(version)

        def _info(self) -> tfds.core.DatasetInfo:
            return OfflineInfo(builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True)

        def _split_generators(self, dl_manager: Any) -> Mapping[str, Iterator[tuple[int, dict[str, Any]]]]:
            return streams

        def _generate_examples(self) -> None:
            """Not called: the streams are at hand."""

    Builder.name = name.replace("/", "_").replace("-", "_")
    return Builder(data_dir=work, file_format="array_record")
