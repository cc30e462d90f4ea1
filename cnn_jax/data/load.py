"""From the name of a data set to a split of it."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from cnn_jax.data.dataset import ArrayDataset, Dataset, DatasetInfo
from cnn_jax.data.decoding.encoded import EncodedDataset
from cnn_jax.data.decoding.host_crop import HostCrop
from cnn_jax.data.errors import ChoiceError, DataError, UnpreparedError
from cnn_jax.data.order import hold_out_part
from cnn_jax.data.sets.catalogue import ANY_SIZE, FOLDS, DatasetSpec, dataset_spec, folder_spec
from cnn_jax.data.store.arrays import load_arrays
from cnn_jax.data.store.checksums import find_damage
from cnn_jax.data.store.fingerprint import Report, kept_fingerprint, stored_fingerprint
from cnn_jax.data.store.prepare import prepare_set, skipped_files, unprepared
from cnn_jax.data.store.root import data_root, find_prepared
from cnn_jax.data.store.verify import OnError

SPLITS = ("train", "validation", "test")
VALIDATION_FRACTION = (
    0.1  # of the training split, where a set has no validation split of its own (as in He et al. 2015, 5k of 50k)
)


def load_dataset(
    name: str | DatasetSpec,
    split: str,
    *,
    root: str | os.PathLike[str] | None = None,
    validation_fraction: float | None = None,
    folder: str | os.PathLike[str] | None = None,
    crop: HostCrop | None = None,
    on_error: OnError = "fail",
    seed: int = 0,
    num_threads: int | None = None,
) -> Dataset:
    """Open one split of a prepared data set; a bundled set and your own folder prepare themselves.

    Where the set has no validation split of its own, `validation_fraction` of its training examples (a tenth by
    default) is held out, every class in proportion. Which ones depends on the set and on `seed` alone.

    Args:
      name: as `cnn-jax data list` shows it, or a fold of its training split such as "stl10/fold3", or "folder"; or an
        entry of one's own.
      split: "train", "validation" or "test", and what the set has beside them, such as STL-10's "unlabelled" (labels
        −1).
      root: the folder of prepared sets; by default $CNN_JAX_DATA, else ~/.cache/cnn_jax.
      validation_fraction: in [0, 1); 0 trains on everything.
      folder: the images of the set "folder" (see `scan_folder` for its layout).
      crop: brings image files of any size to one while they are decoded (`Chain.host`): for a set of such files,
        and for no other.
      on_error: whether a set that was prepared without its undecodable files may be used, and a folder be prepared
        so.
      seed: of what is held out.
      num_threads: that decode image files; None takes one for each processor.

    Raises:
      UnpreparedError: where the set must be prepared first; the message is the command.
      ChoiceError: for an unknown name or split, an empty split, or a fraction or crop for a set that needs none.
    """
    if name == "folder" and folder is None:
        raise ChoiceError("the data set `folder` needs to know which; name it with `data.folder`.")
    if name != "folder" and folder is not None:
        raise ChoiceError(f"a folder has no effect with the data set {name}; name `folder`, or leave {folder} out.")
    spec = dataset_spec(name) if folder is None else folder_spec(folder)
    is_fold = isinstance(name, str) and "/fold" in name
    name = name if isinstance(name, str) else name.name
    stored = _stored_split(spec, split, validation_fraction)
    prepared = _find(spec, root, on_error)
    if damaged := find_damage(prepared):
        raise DataError(f"{damaged} is not as it was written; remove {prepared} and prepare the set again.")
    skipped = skipped_files(prepared)
    if skipped and on_error == "fail":
        raise DataError(
            f"{len(skipped)} files of {name} could not be decoded and are left out, {skipped[0]} first; "
            "mend them, or accept it with on_error=skip."
        )
    images, labels, about = load_arrays(prepared, stored)
    if len(about.class_names) < 2:
        raise DataError(
            f"{folder or name} has one class, {about.class_names[0]}; a classifier needs two or more: an image lies in "
            "CLASS/IMAGE below it, with a folder for each class."
        )
    rows = None
    if stored == "train":
        rows = _fold(prepared, name) if is_fold else None
        if not spec.has_validation:
            fraction = VALIDATION_FRACTION if validation_fraction is None else validation_fraction
            rows = _share(split, labels, rows, fraction, seed)
    info = DatasetInfo(
        name=name,
        split=split,
        num_examples=len(labels if rows is None else rows),
        num_classes=len(about.class_names),
        image_shape=(0, 0, 3) if images is None else images.shape[1:],
        class_names=about.class_names,
        mean=about.mean,
        std=about.std,
        version=prepared.name,
        skipped=skipped,
        are_files=images is None,
    )
    if not info.num_examples:
        raise ChoiceError(f"the {split} split of {name} is empty with `validation_fraction` {validation_fraction}.")
    if images is not None:
        if crop is not None:
            raise ChoiceError(f"a crop by the host has no effect on {name}, whose images have one size; leave it out.")
        return ArrayDataset(images, labels, info, rows=rows)
    if crop is None:
        raise ChoiceError(f"the image files of {name} differ in size; say by `crop` how they are brought to one.")
    return EncodedDataset(prepared, stored, labels, info, crop, rows=rows, num_threads=num_threads)


def holds_files(name: str | DatasetSpec) -> bool:
    """Whether a data set is one of image files of any size.

    Raises:
      ChoiceError: for an unknown name.
    """
    return name == "folder" or dataset_spec(name).image_shape == ANY_SIZE


def fingerprint(
    name: str | DatasetSpec,
    *,
    root: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    on_error: OnError = "fail",
    report: Report | None = None,
) -> dict[str, str]:
    """What a data set holds, as SHA-256 digests in hexadecimal digits: equal exactly when labels and stored bytes are.

    Cheap where the set was prepared by this version, or used before: the digests are kept beside it, with the sizes
    and times of its files (see `stored_fingerprint`). Else the set is read through once.

    Args:
      name, root, folder, on_error: as for `load_dataset`; a bundled set and your own folder prepare themselves.
      report: as for `stored_fingerprint`.

    Returns:
      {"train": …, "validation": …, "test": …, "class_names": …}. Validation examples that are held out from the
      training split belong to "train", and there is no "validation" then. Of a fold, "train" is over its rows.

    Raises:
      UnpreparedError, DataError: as `load_dataset`.
    """
    spec = dataset_spec(name) if folder is None else folder_spec(folder)
    prepared = _find(spec, root, on_error)
    stored = stored_fingerprint(prepared, report)
    validation = {"validation": "validation"} if spec.has_validation else {}
    plays = {"train": "train", **validation, "test": spec.test}
    found = {split: stored.splits[place] for split, place in plays.items() if place in stored.splits}
    if isinstance(name, str) and "/fold" in name:
        rows = np.ascontiguousarray(_fold(prepared, name), "<i8")
        found["train"] = hashlib.sha256(bytes.fromhex(found["train"]) + rows.tobytes()).hexdigest()
    return found | {"class_names": stored.class_names}


def is_fingerprinted(
    name: str | DatasetSpec,
    *,
    root: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    on_error: OnError = "fail",
) -> bool:
    """Whether `fingerprint` answers without reading the data set through."""
    try:
        prepared = _find(dataset_spec(name) if folder is None else folder_spec(folder), root, on_error)
    except UnpreparedError:
        return False
    return kept_fingerprint(prepared) is not None


def _find(spec: DatasetSpec, root: str | os.PathLike[str] | None, on_error: OnError) -> Path:
    folder = data_root(root)
    prepared = find_prepared(folder, spec.name)
    if prepared is None and spec.source == "bundled":
        return prepare_set(spec, None, folder, on_error)
    if prepared is None:
        raise unprepared(spec, root)
    return prepared


def _stored_split(spec: DatasetSpec, split: str, validation_fraction: float | None) -> str:
    """Which stored split holds the examples of `split`."""
    extra = [other for other in spec.splits if other not in SPLITS and other != spec.test]
    if split not in SPLITS and split not in extra:
        raise ChoiceError(f"unknown split {split!r}; {spec.name} has {', '.join((*SPLITS, *extra))}.")
    if spec.has_validation and validation_fraction is not None:
        raise ChoiceError(
            f"{spec.name} has a validation split of its own; "
            f"leave `validation_fraction` unset, got {validation_fraction}."
        )
    if validation_fraction is not None and not 0 <= validation_fraction < 1:
        raise ChoiceError(f"`validation_fraction` must be in [0, 1), got {validation_fraction}.")
    if split == "test":
        if spec.test not in spec.splits:
            raise ChoiceError(f"{spec.name} has no test split; it has {', '.join(spec.splits)}.")
        return spec.test
    return "train" if split == "validation" and not spec.has_validation else split


def _fold(prepared: Path, name: str) -> np.ndarray:
    """The training examples of a fold, in the order that its authors give."""
    folds = json.loads((prepared / FOLDS).read_text()) if (prepared / FOLDS).exists() else {}
    fold = name.rpartition("/")[2]
    if fold not in folds:
        raise ChoiceError(
            f"{name.rpartition('/')[0]} has {'the folds ' + ', '.join(folds) if folds else 'no folds'}, not {fold}."
        )
    return np.asarray(folds[fold])


def _share(split: str, labels: np.ndarray, rows: np.ndarray | None, fraction: float, seed: int) -> np.ndarray | None:
    """The rows of the stored training split (of `rows`, where given) that `split`, train or validation, is made of."""
    rows = np.arange(len(labels)) if rows is None else rows
    held_out = hold_out_part(labels[rows], fraction, seed=seed)
    return rows[held_out] if split == "validation" else np.delete(rows, held_out)
