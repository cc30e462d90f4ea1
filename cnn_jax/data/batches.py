"""The two ways through a data set: an endless shuffled stream for training, one exact pass for evaluation."""

from collections.abc import Iterator

import numpy as np

from cnn_jax.data.dataset import Dataset
from cnn_jax.data.order import stream

Batch = dict[str, np.ndarray]


def train_batches(
    dataset: Dataset,
    batch_size: int,
    *,
    seed: int,
    augment_seed: int | None = None,
    start: int = 0,
    rows: slice | None = None,
) -> Iterator[Batch]:
    """The training stream from batch `start` on, without end.

    Batch k is a pure function of (seed, k): `train_batches(…, start=k)` equals `train_batches(…)` with k batches
    dropped, and costs the same to begin.

    Args:
      seed: of the order, and of what the host crops.
      augment_seed: of what the host crops, where it has a seed of its own.
      batch_size: of the global batch; it may be larger than the data set.
      rows: this process's rows of each global batch; None means all of them.

    Yields:
      {"image": uint8 [b, H, W, C], "label": int32 [b], "index": int32 [b], "epoch": int32 [b]}

    Raises:
      ValueError: for a batch size that is not positive or a negative start, at once rather than at the first batch.
    """
    _check_batch_size(batch_size)
    if start < 0:
        raise ValueError(f"`start` must not be negative, got {start}: batches are counted from 0.")
    return _train_batches(dataset, batch_size, seed, seed if augment_seed is None else augment_seed, start, rows)


def _train_batches(
    dataset: Dataset, batch_size: int, seed: int, augment_seed: int, start: int, rows: slice | None
) -> Iterator[Batch]:
    first, stop, _ = (rows or slice(None)).indices(batch_size)
    step = start
    while True:
        index, epoch = stream(seed, step * batch_size + first, stop - first, len(dataset))
        yield {
            "image": dataset.images(index, epoch=epoch, seed=augment_seed),
            "label": dataset.labels[index],
            "index": index,
            "epoch": epoch,
        }
        step += 1


def train_rows(
    num_examples: int, batch_size: int, steps: int, columns: int, *, seed: int, start: int, rows: slice | None = None
) -> Batch:
    """Which examples make up some batches of the training stream, the first of them batch `start`; without the images.

    Returns:
      {"index": int32 [b, columns], "epoch": int32 [b, columns]}: a column for each of the `steps` batches, then -1.
    """
    found = {}
    for name, numbers in zip(
        ("index", "epoch"), stream(seed, start * batch_size, steps * batch_size, num_examples), strict=True
    ):
        by_step = numbers.reshape(steps, batch_size)[:, rows or slice(None)]
        found[name] = np.pad(by_step, ((0, columns - steps), (0, 0)), constant_values=-1).T.copy()
    return found


def eval_batches(dataset: Dataset, batch_size: int, *, rows: slice | None = None) -> Iterator[Batch]:
    """Every example exactly once, in order, in batches of exactly `batch_size` rows.

    Yields:
      As `train_batches`, and "mask": bool [b], False for the rows that pad the last batch (they repeat the last
      example).

    Raises:
      ValueError: for a batch size that is not positive.
    """
    _check_batch_size(batch_size)
    return _eval_batches(dataset, batch_size, rows or slice(None))


def _eval_batches(dataset: Dataset, batch_size: int, rows: slice) -> Iterator[Batch]:
    for first in range(0, len(dataset), batch_size):
        position = np.arange(first, first + batch_size, dtype=np.int32)[rows]
        index = np.minimum(position, np.int32(len(dataset) - 1))
        yield {
            "image": dataset.images(index),
            "label": dataset.labels[index],
            "index": index,
            "epoch": np.zeros_like(index),
            "mask": position < len(dataset),
        }


def blank_batch(rows: int, image_shape: tuple[int, int, int], *, mask: bool = False) -> Batch:
    """A batch of so many black images of this shape (H, W, C): for shapes and dtypes, of evaluation with a `mask`."""
    batch: Batch = {"image": np.zeros((rows, *image_shape), np.uint8)}
    batch |= {key: np.zeros(rows, np.int32) for key in ("label", "index", "epoch")}
    return batch | ({"mask": np.zeros(rows, np.bool_)} if mask else {})


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be positive, got {batch_size}.")
