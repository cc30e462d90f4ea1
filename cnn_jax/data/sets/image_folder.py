"""A folder of images, one folder a class: your own, or an unpacked ImageNet."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...paths import local_path
from ..errors import DataError
from ..order import stratified_hold_out
from .raw import EncodedExample, EncodedSplit

SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_SPLIT_FOLDERS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
_TEST_FRACTION = 0.2  # of a folder that is not divided


@dataclass(frozen=True)
class FolderIndex:
    """The files of an image folder.

    Attributes:
        files: of each split, the files below `root` and their labels.
        faults: class folders without an image or that cannot be read, as pairs of a path and a sentence.
        fingerprint: of every image's path below `root`, its size and its time of change. No file is opened for it, so
            it costs a look at each name; only an edit that keeps both size and time would go unnoticed, and a copy with
            new times counts as another folder.
    """

    root: Path
    class_names: tuple[str, ...]
    files: Mapping[str, list[tuple[Path, int]]]
    faults: tuple[tuple[str, str], ...]
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
        return {split: EncodedSplit(_read(self.root, files), len(files)) for split, files in self.files.items()}


def scan_folder(root: str | os.PathLike[str], class_names: Sequence[str] | None = None) -> FolderIndex:
    """Find the images of a folder, without opening them.

    The folder holds train/CLASS/IMAGE, and likewise test and validation (or val) where there are such; without a test
    folder the validation images play its part. Or it holds CLASS/IMAGE: then a fifth of every class becomes the test
    split, always the same one.

    Args:
        class_names: in the order of the labels; None takes the sorted names of the class folders.

    Raises:
        DataError: for a folder that is missing, cannot be read (a class folder that cannot is a fault), holds no
            images, or has a class that training lacks.
    """
    top = local_path(root, "data.folder")
    if not top.is_dir():
        raise DataError(f"{top} is not a folder; name the folder that holds one folder of images for each class.")
    divided = (top / "train").is_dir()
    places = {"train": top}
    if divided:
        found = {
            split: [top / name for name in names if (top / name).is_dir()] for split, names in _SPLIT_FOLDERS.items()
        }
        places = {split: candidates[0] for split, candidates in found.items() if candidates}
    names = tuple(class_names) if class_names else tuple(path.name for path in _folders(places["train"]))
    if not names:
        raise DataError(f"{places['train']} holds no class folders; an image lies in {places['train']}/CLASS/IMAGE.")
    files, faults, content = {}, [], hashlib.sha256()
    for split, place in places.items():
        files[split] = list[tuple[Path, int]]()
        for folder in _folders(place):
            if folder.name not in names:
                raise DataError(
                    f"{folder} is a class that {places['train']} does not have; remove it or add the class."
                )
            try:
                images = _images(folder, content, top)
            except OSError as error:
                faults.append((str(folder), f"{folder} cannot be read: {error.strerror}."))
                continue
            files[split] += [(image.relative_to(top), names.index(folder.name)) for image in images]
            if not images:
                faults.append((str(folder), f"{folder} holds no image."))
    if not files["train"]:
        raise DataError(f"{places['train']} holds no images ({', '.join(sorted(SUFFIXES))}).")
    if len(files) == 1:
        files = _divide(files["train"])
    return FolderIndex(top.resolve(), names, files, tuple(faults), content.hexdigest())


def _divide(files: list[tuple[Path, int]]) -> dict[str, list[tuple[Path, int]]]:
    test = set(
        stratified_hold_out(np.array([label for _, label in files]), round(_TEST_FRACTION * len(files))).tolist()
    )
    return {
        "train": [file for position, file in enumerate(files) if position not in test],
        "test": [files[position] for position in sorted(test)],
    }


def _folders(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror}.") from error


def _images(folder: Path, content: "hashlib._Hash", top: Path) -> list[Path]:
    """The images of a class folder, sorted by name; they are added to the fingerprint."""
    with os.scandir(folder) as entries:
        found = sorted(
            (entry for entry in entries if Path(entry.name).suffix.lower() in SUFFIXES), key=lambda entry: entry.name
        )
    for entry in found:
        state = entry.stat(follow_symlinks=os.path.exists(entry.path))  # a link to nothing is met when it is read
        line = f"{Path(entry.path).relative_to(top)}\0{state.st_size}\0{state.st_mtime_ns}\n"
        content.update(line.encode("utf-8", "surrogateescape"))
    return [Path(entry.path) for entry in found]


def _read(root: Path, files: list[tuple[Path, int]]) -> Iterator[EncodedExample]:
    for path, label in files:
        name = str(root / path).encode("utf-8", "replace").decode()
        try:
            yield EncodedExample((root / path).read_bytes(), label, name)
        except OSError as error:
            yield EncodedExample(b"", label, name, error=f"{name} cannot be read: {error.strerror}.")
