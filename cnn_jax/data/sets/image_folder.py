"""A folder of images, one folder a class: your own, or an unpacked ImageNet."""

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn_jax.data.errors import DataError
from cnn_jax.data.order import hold_out_part
from cnn_jax.data.sets.folder_layout import class_folders, split_places
from cnn_jax.data.sets.raw import EncodedExample, EncodedSplit
from cnn_jax.data.sets.walk import Row, every_file, find_images, is_hidden, shown
from cnn_jax.paths import local_path

logger = logging.getLogger(__name__)

_TEST_FRACTION = 0.2  # of a folder that is not divided


@dataclass(frozen=True)
class FolderIndex:
    """The files of an image folder.

    Attributes:
      files: of each split, the files below `root` and their labels.
      faults: class folders without an image, and what cannot be read, as pairs of a path and a sentence.
      passed_over: what lies there and is no image of a class, as pairs of a path and the reason; a folder stands for
        all that it holds.
      fingerprint: of every image's path below `root`, its size and its time of change. No file is opened for it, so
        it costs a look at each name; only an edit that keeps both size and time would go unnoticed, and a copy with
        new times counts as another folder.
    """

    root: Path
    class_names: tuple[str, ...]
    files: Mapping[str, list[tuple[Path, int]]]
    faults: tuple[Row, ...]
    passed_over: tuple[Row, ...]
    fingerprint: str

    @property
    def test(self) -> str:
        """The split that plays the test's part."""
        return "test" if "test" in self.files else "validation"

    @property
    def store_name(self) -> str:
        """The name under which the folder's content is stored."""
        slug = re.sub(r"[^A-Za-z0-9]+", "_", self.root.name).strip("_") or "images"
        return f"folder/{slug}-{self.fingerprint[:12]}"

    def read(self) -> dict[str, EncodedSplit]:
        """The files, to be read when the splits are walked through."""
        return {split: EncodedSplit(read_files(self.root, files), len(files)) for split, files in self.files.items()}


def scan_folder(root: str | os.PathLike[str], class_names: Sequence[str] | None = None) -> FolderIndex:
    """Find the images of a folder, without opening those that have a picture's suffix.

    The folder holds train/CLASS/IMAGE, and likewise test and validation (or val) where there are such; without a test
    folder the validation images play its part. Or it holds CLASS/IMAGE: then a fifth of every class becomes the test
    split, always the same one. Images in folders within a class folder belong to the class.

    Args:
      class_names: in the order of the labels; None takes the sorted names of the class folders.

    Raises:
      DataError: for a folder that is missing, cannot be read (a class folder that cannot is a fault), holds no
        images, has a class that training lacks, or is laid out so that a split could be a class.
    """
    top = local_path(root, "data.folder")
    if not top.is_dir():
        raise DataError(f"{top} is not a folder; name the folder that holds one folder of images for each class.")
    places = split_places(top)
    names = tuple(class_names) if class_names else tuple(path.name for path in class_folders(places["train"]))
    if not names:
        raise DataError(f"{places['train']} holds no class folders; an image lies in {places['train']}/CLASS/IMAGE.")
    labels = {name: label for label, name in enumerate(names)}
    files = {split: list[tuple[Path, int]]() for split in places}
    faults, passed_over, content = list[Row](), _beside(top, places), hashlib.sha256()
    for split, place in places.items():
        for folder in class_folders(place):
            if folder.name not in labels:
                raise DataError(
                    f"{folder} is a class that {places['train']} does not have; remove it or add the class."
                )
            try:
                found = find_images(folder)
            except OSError as error:
                faults.append((str(folder), f"{folder} cannot be read: {error.strerror}."))
                continue
            for image in found.images:
                content.update(_line(image, top))
                files[split].append((image.relative_to(top), labels[folder.name]))
            faults += found.faults
            passed_over += found.passed_over
            if not found.images:
                faults.append((str(folder), f"{folder} holds no image."))
    if not files["train"]:
        raise DataError(f"{places['train']} holds no images{_first(faults)}.")
    if len(files) == 1:
        files = _divide(files["train"], top)
    shown_names = tuple(shown(name) for name in names)
    return FolderIndex(top.resolve(), shown_names, files, tuple(faults), tuple(passed_over), content.hexdigest())


def _first(faults: list[Row]) -> str:
    return f" that can be read: {faults[0][1].rstrip('.')}" if faults else ""


def _beside(top: Path, places: Mapping[str, Path]) -> list[Row]:
    """What lies at the top, or in the folder of a split, and is neither a split nor a class."""
    rows = []
    for place in dict.fromkeys((top, *places.values())):
        holds_splits = place == top and top not in places.values()
        for path in sorted(place.iterdir()):
            if is_hidden(path.name):
                rows.append((str(path), "hidden"))
            elif holds_splits and path.is_dir() and path not in places.values():
                rows.append((str(path), "beside the splits"))
            elif not path.is_dir():
                rows.append((str(path), "in no class folder"))
    return rows


def note_passed_over(rows: Sequence[Row], listed_in: str | None = None) -> list[Row]:
    """A row for each file, and a line in the log that counts them and says which file of the set lists them."""
    files = list(every_file(rows))
    if files:
        counts = ", ".join(f"{count} {reason}" for reason, count in Counter(reason for _, reason in files).items())
        named = [path for path, reason in files if reason != "hidden"][:3]
        examples = f"; for example {', '.join(named)}" if named else ""
        place = f" (all are listed in the set's {listed_in})" if listed_in else ""
        logger.warning("note: %d files are passed over: %s%s%s", len(files), counts, examples, place)
    return files


def _divide(files: list[tuple[Path, int]], top: Path) -> dict[str, list[tuple[Path, int]]]:
    labels = np.array([label for _, label in files])
    test = set(hold_out_part(labels, _TEST_FRACTION).tolist())
    if not test:
        raise DataError(
            f"{top} holds {len(files)} images, too few to keep some of them for the test: add images, or lay them out "
            f"as {top}/train/CLASS/IMAGE and {top}/test/CLASS/IMAGE."
        )
    return {
        "train": [file for position, file in enumerate(files) if position not in test],
        "test": [files[position] for position in sorted(test)],
    }


def _line(image: Path, top: Path) -> bytes:
    """What the fingerprint knows of an image."""
    state = image.stat(follow_symlinks=os.path.exists(image))  # a link to nothing is met when it is read
    return f"{image.relative_to(top)}\0{state.st_size}\0{state.st_mtime_ns}\n".encode("utf-8", "surrogateescape")


def read_files(root: Path, files: Iterable[tuple[Path, int]]) -> Iterator[EncodedExample]:
    """Image files below a folder with their labels, read as they are walked through; one that cannot be says why."""
    for path, label in files:
        name = shown(root / path)
        try:
            yield EncodedExample((root / path).read_bytes(), label, name)
        except OSError as error:
            yield EncodedExample(b"", label, name, error=f"{name} cannot be read: {error.strerror}.")
