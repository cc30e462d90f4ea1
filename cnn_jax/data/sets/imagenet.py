"""ImageNet 2012 and Imagenette from their tar archives, or from the folders that these unpack to."""

import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from cnn_jax.data.errors import DataError
from cnn_jax.data.sets.archive import check_archive, find_archive, need_source, readable
from cnn_jax.data.sets.class_names import IMAGENETTE, imagenet_validation_ids, imagenet_wordnet_ids
from cnn_jax.data.sets.image_folder import note_passed_over, scan_folder
from cnn_jax.data.sets.raw import EncodedExample, EncodedSplit
from cnn_jax.data.sets.walk import is_hidden

_TRAIN, _VALIDATION = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"


def read_imagenet(source: Path | None) -> Mapping[str, EncodedSplit]:
    """ImageNet from its two tars (the training tar holds one tar for each class), or from folders train/ID and val/ID.

    The labels of the validation images are taken from the list that TFDS ships, by the number in the file's name.
    """
    place = need_source(source, "imagenet2012")
    if (place / "train").is_dir():
        return _unpacked(place, imagenet_wordnet_ids())
    labels = {wordnet_id: label for label, wordnet_id in enumerate(imagenet_wordnet_ids())}
    splits = {}
    for split, archive, entries in (("train", _TRAIN, _nested), ("validation", _VALIDATION, _flat)):
        check_archive("imagenet2012", place, archive)
        path = find_archive(place, archive)
        count = sum(1 for _ in entries(path, labels, with_content=False))
        splits[split] = EncodedSplit(entries(path, labels, with_content=True), count)
    return splits


def _unpacked(place: Path, wordnet_ids: tuple[str, ...]) -> Mapping[str, EncodedSplit]:
    index = scan_folder(place, wordnet_ids)
    if index.faults:
        raise DataError(f"{index.faults[0][1]} Unpack the archive again.")
    note_passed_over(index.passed_over)
    return index.read()


def _files(packed: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The files of a tar, without the folders and hidden files that packing it anew adds (a Mac's `._NAME`)."""
    for entry in packed:
        stored = entry.isfile() or entry.islnk() or entry.issym()
        if stored and not any(map(is_hidden, PurePosixPath(entry.name).parts)):
            yield entry


def _nested(path: Path, labels: Mapping[str, int], *, with_content: bool) -> Iterator[EncodedExample]:
    with readable(path), tarfile.open(path) as outer:
        for entry in _files(outer):
            wordnet_id = PurePosixPath(entry.name).name.removesuffix(".tar")
            if wordnet_id not in labels:
                raise DataError(f"{path} holds {entry.name}, which is none of the 1,000 classes' tars.")
            with tarfile.open(fileobj=outer.extractfile(entry)) as inner:
                for image in _files(inner):
                    content = inner.extractfile(image).read() if with_content else b""  # type: ignore[union-attr]
                    yield EncodedExample(content, labels[wordnet_id], image.name)


def _flat(path: Path, labels: Mapping[str, int], *, with_content: bool) -> Iterator[EncodedExample]:
    ids = imagenet_validation_ids()
    with readable(path), tarfile.open(path) as packed:
        for entry in _files(packed):
            match = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", PurePosixPath(entry.name).name)
            if not match or not 1 <= int(match[1]) <= len(ids):
                raise DataError(f"{path} holds {entry.name}, which is no validation image of ImageNet 2012.")
            content = packed.extractfile(entry).read() if with_content else b""  # type: ignore[union-attr]
            yield EncodedExample(content, labels[ids[int(match[1]) - 1]], entry.name)


def imagenette(stem: str) -> Callable[[Path | None], Mapping[str, EncodedSplit]]:
    """The reader of imagenette2.tgz or of one of its scaled versions, packed or unpacked."""
    return partial(_read_imagenette, stem)


def _read_imagenette(stem: str, source: Path | None) -> Mapping[str, EncodedSplit]:
    place, archive = need_source(source, "imagenette"), f"{stem}.tgz"
    unpacked = place / stem if (place / stem).is_dir() else place
    if (unpacked / "train").is_dir():
        return _unpacked(unpacked, tuple(IMAGENETTE))
    check_archive("imagenette", place, archive)
    path = find_archive(place, archive, stem)
    splits = {}
    for split, folder in (("train", "train"), ("validation", "val")):
        count = sum(1 for _ in _members(path, f"{stem}/{folder}", with_content=False))
        splits[split] = EncodedSplit(_members(path, f"{stem}/{folder}", with_content=True), count)
    return splits


def _members(path: Path, folder: str, *, with_content: bool) -> Iterator[EncodedExample]:
    labels = {wordnet_id: label for label, wordnet_id in enumerate(IMAGENETTE)}
    with readable(path), tarfile.open(path) as packed:
        for entry in _files(packed):
            place = PurePosixPath(entry.name.removeprefix("./"))
            if str(place.parent.parent) != folder:
                continue
            if place.parent.name not in labels:
                raise DataError(f"{path} holds {entry.name}, which is in none of Imagenette's ten classes.")
            content = packed.extractfile(entry).read() if with_content else b""  # type: ignore[union-attr]
            yield EncodedExample(content, labels[place.parent.name], entry.name)
