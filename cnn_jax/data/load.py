"""From the name of a data set to a split of it."""

import os

import numpy as np

from .arrays import load_arrays
from .catalogue import KnownSet, known_set
from .dataset import ArrayDataset, Dataset, DatasetInfo
from .errors import DataError, UnpreparedError
from .order import stratified_hold_out
from .prepare import prepare, prepare_command
from .store import data_root, find_prepared

SPLITS = ("train", "validation", "test")
VALIDATION_FRACTION = (
    0.1  # of the training split, where a set has no validation split of its own (as in He et al. 2015, 5k of 50k)
)


def load_dataset(
    name: str,
    split: str,
    *,
    root: str | os.PathLike[str] | None = None,
    validation_fraction: float | None = None,
) -> Dataset:
    """Open one split of a prepared data set; a bundled set prepares itself.

    Where the set has no validation split of its own, `validation_fraction` of its training examples (a tenth by
    default) is held
    out, every class in proportion. Which ones depends on the set alone, so validation is the same for every seed and
    run.

    Args:
        split: "train", "validation" or "test".
        root: the folder of prepared sets; by default $CNN_JAX_DATA, else ~/.cache/cnn_jax.
        validation_fraction: in [0, 1); 0 trains on everything.

    Raises:
        UnpreparedError: where the set must be prepared first; the message is the command.
        DataError: for an unknown name or split, an empty split, or a fraction for a set that needs none.
    """
    known, folder = known_set(name), data_root(root)
    if split not in SPLITS:
        raise DataError(f"unknown split {split!r}; a data set has {', '.join(SPLITS)}.")
    stored = _stored_split(known, split, validation_fraction)
    prepared = find_prepared(folder, name)
    if prepared is None:
        if known.source != "bundled":
            raise UnpreparedError(f"{name} is not prepared below {folder}; run `{prepare_command(name, root)}`.")
        prepared = prepare(name, root=root)
    images, labels, about = load_arrays(prepared, stored)
    rows = _rows(known, split, labels, validation_fraction)
    info = DatasetInfo(
        name=name,
        split=split,
        num_examples=len(labels if rows is None else rows),
        num_classes=known.num_classes,
        image_shape=images.shape[1:],
        class_names=about.class_names,
        mean=about.mean,
        std=about.std,
        version=prepared.name,
    )
    if not info.num_examples:
        raise DataError(f"the {split} split of {name} is empty with `validation_fraction` {validation_fraction}.")
    return ArrayDataset(images, labels, info, rows=rows)


def _stored_split(known: KnownSet, split: str, validation_fraction: float | None) -> str:
    """Which stored split holds the examples of `split`."""
    if split == "test":
        return known.test
    if known.has_validation:
        if validation_fraction is not None:
            raise DataError(
                f"{known.name} has a validation split of its own; "
                f"leave `validation_fraction` unset, got {validation_fraction}."
            )
        return split
    if validation_fraction is not None and not 0 <= validation_fraction < 1:
        raise DataError(f"`validation_fraction` must be in [0, 1), got {validation_fraction}.")
    return "train"


def _rows(known: KnownSet, split: str, labels: np.ndarray, validation_fraction: float | None) -> np.ndarray | None:
    """The rows of the stored split that make up `split`; None means all."""
    if split == "test" or known.has_validation:
        return None
    fraction = VALIDATION_FRACTION if validation_fraction is None else validation_fraction
    held_out = stratified_hold_out(labels, round(fraction * len(labels)))
    return held_out if split == "validation" else np.setdiff1d(np.arange(len(labels)), held_out)
