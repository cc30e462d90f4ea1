"""Prepared sets as arrays beside their records.

Labels, and small images, are read once and memory-mapped at later starts.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cnn_jax.data.errors import DataError
from cnn_jax.data.store.checksums import NOTE, find_damage, note_checksums
from cnn_jax.data.store.names import stored_class_names
from cnn_jax.data.store.statistics import IMAGENET_STATISTICS, Statistics, channel_statistics
from cnn_jax.logs import untouched_logging

_LAYOUT = 1  # raised when what lies in FOLDER/arrays changes; arrays of another layout are made anew

_CHUNK = 1024  # examples read at a time: enough to amortise TFDS's overhead, little to hold


@dataclass(frozen=True)
class ArraysInfo:
    """What the arrays do not say themselves: mean and std are per channel of the training images, in 0..1."""

    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    splits: dict[str, int]  # the examples in each


def load_arrays(folder: Path, split: str) -> tuple[np.ndarray | None, np.ndarray, ArraysInfo]:
    """The images uint8 [n, H, W, C] and labels int32 [n] of a stored split, and the set's names and statistics.

    Sets of image files have no array of images, but None.

    The arrays live in FOLDER/arrays, so they vanish with the records they were read from. Those that another version of
    this file made are made anew; damaged ones are refused. Where that folder cannot be written, the records are read
    into memory at each start.

    Raises:
      DataError: for a split that is not stored, records that cannot be read, or arrays that are damaged or cannot be
        written.
    """
    arrays = folder / "arrays"
    if not _usable(arrays, split):
        try:
            build = Path(tempfile.mkdtemp(prefix="arrays.", dir=folder))
            build.chmod(0o755)  # for the other users of a shared root
        except OSError:  # a read-only root
            with tempfile.TemporaryDirectory() as elsewhere:  # mapped files outlive their names
                _unpack(folder, Path(elsewhere))
                return _map(Path(elsewhere), split)
        try:
            _unpack(folder, build)
            if arrays.is_dir() and not _usable(arrays, split):
                os.rename(arrays, build.with_suffix(".old"))
            os.rename(build, arrays)
        except OSError as error:
            if not _usable(arrays, split):  # not merely another process that was first
                raise DataError(f"the arrays of {folder} cannot be written: {error}; free some space.") from error
        finally:
            shutil.rmtree(build, ignore_errors=True)
            shutil.rmtree(build.with_suffix(".old"), ignore_errors=True)
    return _map(arrays, split)


def _usable(arrays: Path, split: str) -> bool:
    """Whether the arrays are there, in this version's layout; raises DataError where they are not as they were."""
    if not arrays.is_dir():
        return False
    names = {"info.json", *(path.name for path in arrays.glob(f"{split}_*.npy"))}
    try:
        layout = json.loads((arrays / "info.json").read_text())["layout"]
        if layout != _LAYOUT:
            return False
        known = _read_info(arrays).splits
        damaged = find_damage(arrays, names) or _missing(arrays, split, known)
    except (OSError, ValueError, KeyError, TypeError):
        damaged = arrays / "info.json"
    if damaged is None and not (arrays / NOTE).exists():  # of an earlier version: from now on they are compared
        with contextlib.suppress(OSError):
            note_checksums(arrays, (path.name for path in arrays.iterdir()))
    if damaged is not None:  # the disk may be failing: not mended without being asked
        raise DataError(
            f"`{damaged}` is damaged. Remove the folder `{arrays}`: it is made anew from the records beside it."
        )
    return True


def _missing(arrays: Path, split: str, counts: dict[str, int]) -> Path | None:
    """The first of a split's arrays that is not there, or has not as many rows as were stored."""
    for path in (arrays / f"{split}_labels.npy", arrays / f"{split}_images.npy"):
        if path.exists():
            rows = len(np.load(path, mmap_mode="r"))  # ValueError for a file cut short
        elif path.name.endswith("labels.npy") or list(arrays.glob("*_images.npy")):
            rows = -1
        else:
            continue
        if split in counts and rows != counts[split]:
            return path
    return None


def _map(arrays: Path, split: str) -> tuple[np.ndarray | None, np.ndarray, ArraysInfo]:
    info = _read_info(arrays)
    if split not in info.splits:
        raise DataError(f"{arrays.parent} stores the splits {', '.join(info.splits)}, not {split!r}.")
    images = arrays / f"{split}_images.npy"
    mapped = np.load(images, mmap_mode="r") if images.exists() else None
    return mapped, np.load(arrays / f"{split}_labels.npy"), info


def read_arrays_info(folder: Path) -> ArraysInfo | None:
    """What is known about the set prepared in `folder`, where this version of the code has made its arrays."""
    try:
        return _read_info(folder / "arrays")
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_info(arrays: Path) -> ArraysInfo:
    stored = json.loads((arrays / "info.json").read_text())
    if stored["layout"] != _LAYOUT:
        raise ValueError(f"{arrays} has the layout {stored['layout']}, not {_LAYOUT}.")
    return ArraysInfo(tuple(stored["class_names"]), tuple(stored["mean"]), tuple(stored["std"]), stored["splits"])


@untouched_logging()
def _unpack(folder: Path, arrays: Path) -> None:
    """Copy every split of the records in `folder` to plain arrays, and take the statistics of the training images."""
    import tensorflow_datasets as tfds

    with readable_records(folder):
        builder = tfds.builder_from_directory(folder)
        shape, label = builder.info.features["image"].shape, builder.info.features["label"]
        class_names = stored_class_names(folder, label)
        encoded = None in shape
        sources = builder.as_data_source(decoders={"image": tfds.decode.SkipDecoding()} if encoded else None)
        counts = {split: len(source) for split, source in sources.items()}
    statistics: Statistics = IMAGENET_STATISTICS
    for split, source in sources.items():
        labels = np.empty(len(source), np.int32)
        # Written, not mapped: on a full disk a write raises, while a mapped page kills the process.
        with contextlib.nullcontext() if encoded else (arrays / f"{split}_images.npy").open("wb") as images:
            if images:
                header = {"descr": "|u1", "fortran_order": False, "shape": (len(source), *shape)}
                np.lib.format.write_array_header_1_0(images, header)
            for first in range(0, len(source), _CHUNK):
                with readable_records(folder):
                    chunk = source.__getitems__(range(first, min(first + _CHUNK, len(source))))
                labels[first : first + len(chunk)] = [example["label"] for example in chunk]
                if images:
                    images.write(np.stack([example["image"] for example in chunk]).tobytes())
        np.save(arrays / f"{split}_labels.npy", labels)
        if split == "train" and not encoded:
            statistics = channel_statistics(np.load(arrays / f"{split}_images.npy", mmap_mode="r"))
    _write_info(arrays, ArraysInfo(class_names, *statistics, counts))


@contextlib.contextmanager
def readable_records(folder: Path) -> Iterator[None]:
    """Say which prepared set it is whose records or descriptions turn out to be damaged, and what to do."""
    try:
        yield
    except Exception as error:  # TFDS and array_record raise every kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"the records of {folder} cannot be read ({reason}); remove that folder and prepare the set again."
        ) from error


def write_labels(folder: Path, class_names: tuple[str, ...], labels: dict[str, np.ndarray]) -> None:
    """Note the labels of a set of image files beside its records in `folder`, with ImageNet's statistics."""
    arrays = folder / "arrays"
    arrays.mkdir()
    for split, values in labels.items():
        np.save(arrays / f"{split}_labels.npy", values)
    counts = {split: len(values) for split, values in labels.items()}
    _write_info(arrays, ArraysInfo(class_names, *IMAGENET_STATISTICS, counts))


def _write_info(arrays: Path, info: ArraysInfo) -> None:
    (arrays / "info.json").write_text(json.dumps({"layout": _LAYOUT, **asdict(info)}))
    note_checksums(arrays, (path.name for path in arrays.iterdir() if path.name != NOTE))
