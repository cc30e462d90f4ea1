"""Image files classified in batches of one size, by whatever gives probabilities."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float, UInt8

from cnn_jax.data import DataError, FileBatch, prefetch
from cnn_jax.runs.console.progress import ImageProgress

# Images. A program is compiled for this many, or for the next power of two where there are fewer. Untuned.
BATCH = 32


class UnreadableImages(DataError):
    """Some of the images could not be read: the message names each; `predictions` holds those of the others."""

    def __init__(self, faults: Sequence[DataError], predictions: list[dict[str, Any]]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.predictions = predictions


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
