"""From the name of a data set to a split of it."""

import json
import os
from pathlib import Path

import numpy as np

from .arrays import load_arrays
from .catalogue import FOLDS, KnownSet, known_set
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
        name: as `cnn-jax data list` shows it, or a fold of its training split such as "stl10/fold3".
        split: "train", "validation" or "test", and what the set has beside them, such as STL-10's "unlabelled" (labels
        −1).
        root: the folder of prepared sets; by default $CNN_JAX_DATA, else ~/.cache/cnn_jax.
        validation_fraction: in [0, 1); 0 trains on everything.

    Raises:
        UnpreparedError: where the set must be prepared first; the message is the command.
        DataError: for an unknown name or split, an empty split, or a fraction for a set that needs none.
    """
    known, folder = known_set(name), data_root(root)
    extra = [other for other in known.splits if other not in SPLITS and other != known.test]
    if split not in SPLITS and split not in extra:
        raise DataError(f"unknown split {split!r}; {known.name} has {', '.join((*SPLITS, *extra))}.")
    stored = _stored_split(known, split, validation_fraction)
    prepared = find_prepared(folder, known.name)
    if prepared is None:
        if known.source != "bundled":
            command = prepare_command(known.name, root)
            raise UnpreparedError(f"{known.name} is not prepared below {folder}; run `{command}`.")
        prepared = prepare(known.name, root=root)
    images, labels, about = load_arrays(prepared, stored)
    rows = _fold(prepared, name) if stored == "train" and name != known.name else None
    if stored == "train" and not known.has_validation:
        rows = _share(split, labels, rows, VALIDATION_FRACTION if validation_fraction is None else validation_fraction)
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
    if known.has_validation and validation_fraction is not None:
        raise DataError(
            f"{known.name} has a validation split of its own; "
            f"leave `validation_fraction` unset, got {validation_fraction}."
        )
    if validation_fraction is not None and not 0 <= validation_fraction < 1:
        raise DataError(f"`validation_fraction` must be in [0, 1), got {validation_fraction}.")
    if split == "test":
        return known.test
    return "train" if split == "validation" and not known.has_validation else split


def _fold(prepared: Path, name: str) -> np.ndarray:
    """The training examples of a fold, in the order that its authors give."""
    folds = json.loads((prepared / FOLDS).read_text()) if (prepared / FOLDS).exists() else {}
    fold = name.rpartition("/")[2]
    if fold not in folds:
        raise DataError(
            f"{name.rpartition('/')[0]} has {'the folds ' + ', '.join(folds) if folds else 'no folds'}, not {fold}."
        )
    return np.asarray(folds[fold])


def _share(split: str, labels: np.ndarray, rows: np.ndarray | None, fraction: float) -> np.ndarray | None:
    """The rows of the stored training split (of `rows`, where given) that `split`, train or validation, is made of."""
    rows = np.arange(len(labels)) if rows is None else rows
    held_out = stratified_hold_out(labels[rows], round(fraction * len(rows)))
    return rows[held_out] if split == "validation" else np.delete(rows, held_out)
