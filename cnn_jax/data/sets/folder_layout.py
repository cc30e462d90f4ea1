"""How a folder of images is laid out: divided into splits, or one folder for each class."""

import os
import re
from pathlib import Path

from cnn_jax.data.errors import DataError
from cnn_jax.data.sets.sniff import is_image
from cnn_jax.data.sets.walk import SUFFIXES, is_hidden

_SPLIT_FOLDERS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
_SPLIT_NAMES = frozenset(name for names in _SPLIT_FOLDERS.values() for name in names)
# train2017, Val, test_set: a split to whoever named it so.
_LIKE_SPLIT = re.compile(
    r"(train(ing)?|val(id(ation)?)?|test(ing)?|eval(uation)?|dev)([ _.-]?(set|data(set)?|split|images?|imgs?|\d+))*",
    re.IGNORECASE,
)


def split_places(top: Path) -> dict[str, Path]:
    """The folder of each split, or {"train": top} where `top` holds the class folders themselves.

    `train` with images in it and other folders beside it is a class, and `train` with folders in it is a split. Where
    that does not decide it, nothing is guessed: a split taken for a class would mislabel every image in it.

    Raises:
      DataError: where it cannot be told, or a split has two folders.
    """
    folders = class_folders(top)
    names = {path.name for path in folders}
    like = [path for path in folders if _LIKE_SPLIT.fullmatch(path.name)]
    if "train" in names and class_folders(top / "train"):
        others = sorted(names - _SPLIT_NAMES)
        if others and _holds_images(top / "train"):
            raise DataError(
                f"{top / 'train'} holds images as well as folders, and {', '.join(others)} lie beside it: it could be "
                "a split or a class. Name the split otherwise than the class, or keep their folders apart."
            )
        if strange := [path.name for path in like if path.name not in _SPLIT_NAMES]:
            raise DataError(
                f"{top} holds {', '.join(strange)} beside train: splits are named train, validation (or val) and test. "
                "Rename it where it is a split, or move it out of the folder."
            )
        return _divided(top, names)
    if like and len(like) == len(folders) and "train" not in names:
        raise DataError(
            f"{top} holds {', '.join(path.name for path in like)}, but no train: splits are named train, validation "
            "and test, with one folder of images for each class in each."
        )
    if like and len(like) == len(folders):
        raise DataError(f"{top / 'train'} holds no class folders; an image lies in {top / 'train'}/CLASS/IMAGE.")
    for path in like:
        if class_folders(path):
            raise DataError(
                f"{path} holds folders, and lies among folders that are no splits: where it is a split, put the others "
                f"into {top / 'train'}; where it is a class, keep its images in no further folders."
            )
    if shared := _shared_names(folders):
        raise DataError(
            f"{folders[0]} and {folders[1]} hold no images but folders of the same names ({', '.join(shared[:3])}): "
            f"where they are splits, name them train, validation and test; where they are classes, move the images of "
            "each out of its further folders."
        )
    return {"train": top}


def _divided(top: Path, names: set[str]) -> dict[str, Path]:
    places = {}
    for split, spellings in _SPLIT_FOLDERS.items():
        there = [name for name in spellings if name in names]
        if len(there) > 1:
            raise DataError(f"{top} holds both {' and '.join(there)} for one split; keep one of them.")
        if there:
            places[split] = top / there[0]
    return places


def class_folders(place: Path) -> list[Path]:
    """The folders in a folder, sorted by name, but for hidden ones.

    Raises:
      DataError: where it cannot be read.
    """
    try:
        with os.scandir(place) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not is_hidden(entry.name))
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror}.") from error


def _shared_names(folders: list[Path]) -> list[str]:
    """What every folder calls a folder in it, where there are two or more and none holds an image itself."""
    try:
        if len(folders) < 2 or any(map(_holds_images, folders)):
            return []
        return sorted(set.intersection(*({path.name for path in class_folders(folder)} for folder in folders)))
    except (DataError, OSError):  # what cannot be read is met again, as a fault
        return []


def _holds_images(place: Path) -> bool:
    with os.scandir(place) as entries:
        files = (entry for entry in entries if entry.is_file() and not is_hidden(entry.name))
        return any(Path(entry.name).suffix.lower() in SUFFIXES or is_image(entry.path) for entry in files)
