"""Prediction: image files through a trained run."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from cnn_jax.data import DataError, FileBatch, find_image_files, prefetch, read_batches
from cnn_jax.runs.compare import check_data
from cnn_jax.runs.console.pictures import class_name
from cnn_jax.runs.console.progress import ImageProgress
from cnn_jax.runs.content import knows_data_now
from cnn_jax.runs.evaluation import load_variables
from cnn_jax.runs.folder.own_code import with_code
from cnn_jax.runs.folder.run import read_run
from cnn_jax.runs.session import open_session, precision

# Images. A program is compiled for this many, or for the next power of two where there are fewer. Untuned.
BATCH = 32


class UnreadableImages(DataError):
    """Some of the images could not be read: the message names each; `predictions` holds those of the others."""

    def __init__(self, faults: Sequence[DataError], predictions: list[dict[str, Any]]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.predictions = predictions


def predict(
    run: Path | str,
    images: Sequence[Path | str],
    *,
    top: int = 5,
    step: int | str = "latest",
    trust_code: bool = False,
    quiet: bool = True,
) -> list[dict[str, Any]]:
    """The most probable classes of image files.

    Each image is brought to the size and channels of the run's data set, then treated as at evaluation. The batches
    have one size, which follows from the number of images. An image's place in a batch, and that size, change its
    probabilities by rounding alone: sums are taken in another order (LeNet-5 in float32: by less than 3e-7).

    Args:
      run: a run folder.
      images: paths of image files, of folders of them, and patterns such as "photos/*.jpg".
      top: how many classes to give; fewer where there are fewer.
      step: "latest", "best" or the number of a saved step.
      trust_code: as `evaluate`.
      quiet: show no progress on standard error.

    Returns:
      One `{image, classes, probabilities}` per image, the most probable class first.

    Raises:
      RunError, CheckpointError: as `evaluate`.
      UnreadableImages: after all images, for those that could not be read, and folders and patterns without images.
    """
    with with_code(read_run(run), trust_code=trust_code) as opened, precision(opened.config.model.dtype):
        if opened.content.data is None or knows_data_now(opened.config):  # no data are read to classify other images
            check_data(opened)
        session = open_session(opened.config, opened.derived, opened.info)
        files, faults = find_image_files(images)
        _, variables = load_variables(opened, session, step)
        devices = session.layout.num_devices
        size = -(-fitting_batch(len(files)) // devices) * devices
        batches = read_batches(files, size, session.preprocess, session.info.image_shape)
        say = jax.jit(lambda variables, images: jax.nn.softmax(session.logits(variables, images)))
        names = [class_name(session.info, k) for k in range(session.derived.num_classes)]
        return classify(
            batches,
            lambda images: say(variables, jax.device_put(images, session.layout.split)),
            names,
            num_images=len(files),
            faults=faults,
            top=top,
            quiet=quiet,
        )


def fitting_batch(num_images: int) -> int:
    """How many images a program is compiled for, to classify so many."""
    return min(BATCH, 1 << max(0, num_images - 1).bit_length())


def classify(
    batches: Iterator[FileBatch],
    probabilities: Callable[[UInt8[np.ndarray, "b h w c"]], Float[Array, "b k"]],
    class_names: Sequence[str],
    *,
    num_images: int,
    faults: Sequence[DataError] = (),
    top: int = 5,
    quiet: bool = True,
) -> list[dict[str, Any]]:
    """What a function says of batches of image files, while the next ones are read.

    Args:
      num_images: of all batches.
      faults: what was wrong before any file was read.

    Returns:
      As `predict`.

    Raises:
      UnreadableImages: as `predict`.
    """
    faults, predictions = list(faults), list[dict[str, Any]]()
    with (
        contextlib.closing(prefetch(batches)) as ready,
        ImageProgress("classifying", num_images, quiet=quiet or not num_images) as progress,
    ):
        for batch in ready:
            rows = np.asarray(probabilities(batch.images))
            for path, row in zip(batch.paths, rows, strict=False):  # the rows that fill the batch have no path
                if path in batch.faults:
                    faults.append(batch.faults[path])
                    continue
                order = np.argsort(-row, kind="stable")[:top]
                said = {"classes": [class_names[k] for k in order], "probabilities": [float(row[k]) for k in order]}
                predictions.append({"image": path, **said})
            progress.add(len(batch.paths))
    if faults:
        raise UnreadableImages(faults, predictions)
    return predictions
