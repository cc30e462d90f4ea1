"""All that lies below a folder, sorted into images, faults, and what is passed over: nothing is left out unsaid."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cnn_jax.data.sets.sniff import is_image

# What these hold is known when they are read; other files are looked into.
SUFFIXES: tuple[str, ...] = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jif",
    ".jfif",
    ".png",
    ".gif",
    ".bmp",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
)
SUFFIXES += (".pbm", ".pnm", ".avif", ".jp2", ".j2k", ".dds", ".qoi", ".psd", ".sgi")
# Pictures that are not read. Some begin as TIFF files do, whose only picture for us would be a preview.
_OTHER_PICTURES: tuple[str, ...] = (
    ".heic",
    ".heif",
    ".jxl",
    ".svg",
    ".eps",
    ".ico",
    ".tga",
    ".pcx",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
)
_OTHER_PICTURES += (".dng", ".orf", ".rw2", ".raf", ".pef", ".srw")

Row = tuple[str, str]  # a path, and a sentence or a reason


@dataclass
class Found:
    """What lies below a folder.

    Attributes:
      images: what is to be read, in the order of their paths.
      faults: pictures and folders that cannot be used, as pairs of a path and a sentence.
      passed_over: what is no image, as pairs of a path and the reason. A folder stands for all that it holds.
    """

    images: list[Path] = field(default_factory=list)
    faults: list[Row] = field(default_factory=list)
    passed_over: list[Row] = field(default_factory=list)


def find_images(folder: Path) -> Found:
    """Walk through a folder and all folders within it, links followed; only files without a known suffix are opened.

    Raises:
      OSError: where `folder` itself cannot be read.
    """
    found = Found()
    _walk(folder, found, (_identity(folder),))
    return found


def is_hidden(name: str) -> bool:
    """Whether a name is one that its owner does not see: hidden, or what a Mac leaves in archives and on disks."""
    return name.startswith(".") or name == "__MACOSX"


def shown(path: str | os.PathLike[str]) -> str:
    """A path for people and for files in UTF-8; bytes that are not UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def every_file(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, with a row for each file in place of each folder."""
    for path, reason in rows:
        if not os.path.isdir(path) or os.path.islink(path):
            yield shown(path), reason
            continue
        for place, folders, files in os.walk(path):
            links = [folder for folder in folders if os.path.islink(os.path.join(place, folder))]  # are not followed
            yield from ((shown(os.path.join(place, name)), reason) for name in sorted(files + links))


def _walk(folder: Path, found: Found, above: tuple[tuple[int, int], ...]) -> None:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if is_hidden(entry.name):
            found.passed_over.append((entry.path, "hidden"))
        elif not entry.is_dir():
            _sort_in(entry, found)
        elif (place := _identity(Path(entry.path))) in above:
            found.passed_over.append((entry.path, "a link to a folder around it"))
        else:
            try:
                _walk(Path(entry.path), found, (*above, place))
            except OSError as error:
                found.faults.append((entry.path, f"{shown(entry.path)} cannot be read: {error.strerror}."))


def _sort_in(entry: os.DirEntry[str], found: Found) -> None:
    suffix = os.path.splitext(entry.name)[1].lower()
    link_to_nothing = not entry.is_file() and not os.path.exists(entry.path)
    if suffix in _OTHER_PICTURES:
        found.faults.append((entry.path, f"{shown(entry.path)} is a picture that is not read; convert it to PNG."))
    elif suffix in SUFFIXES and (entry.is_file() or link_to_nothing):  # the link is met when it is read
        found.images.append(Path(entry.path))
    elif suffix in SUFFIXES:  # to open a pipe could take forever
        found.faults.append((entry.path, f"{shown(entry.path)} is a pipe or a device, not a file."))
    elif not entry.is_file():
        found.passed_over.append((entry.path, "a link to nothing" if link_to_nothing else "a pipe or a device"))
    else:
        try:
            image = is_image(entry.path)
        except OSError as error:
            found.faults.append((entry.path, f"{shown(entry.path)} cannot be read: {error.strerror}."))
            return
        found.images.append(Path(entry.path)) if image else found.passed_over.append((entry.path, "no image"))


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino
