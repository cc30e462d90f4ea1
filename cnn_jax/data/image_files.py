"""Image files by their paths, folders and patterns, read in batches of one size by a pool of threads."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from cnn_jax.data.decoding.encoded import available_processors, parallel_for
from cnn_jax.data.decoding.images import read_image
from cnn_jax.data.errors import DataError
from cnn_jax.data.sets.image_folder import note_passed_over
from cnn_jax.data.sets.walk import Row, find_images, shown
from cnn_jax.paths import local_path


@dataclass(frozen=True)
class FileBatch:
    """Image files read together."""

    paths: list[str]
    images: UInt8[np.ndarray, "b h w c"]
    """Of `paths`, in their order; the rows after the last are black."""
    faults: dict[str, DataError]
    """Of the paths that could not be read; their rows are black too."""


def find_image_files(paths: Sequence[str | os.PathLike[str]]) -> tuple[list[str], list[DataError]]:
    """The image files that are meant, and what is wrong with what else was given.

    A folder stands for all images in it and in the folders within, in the order of their names; what in it is no image
    is passed over with a note. A pattern (`*`, `?`, `[…]`, and `**` for folders of any depth) stands for what matches.
    Any other path is taken for a file, whether it is there or not.
    """
    files, faults, passed_over = list[str](), list[DataError](), list[Row]()
    for given in paths:
        path = local_path(given, "IMAGE", utf8=False)
        pattern = not os.path.lexists(path) and glob.has_magic(str(path))
        matches = sorted(glob.glob(str(path), recursive=True)) if pattern else [str(path)]
        if not matches:
            faults.append(DataError(f"{shown(path)} matches no file."))
        for match in matches:
            if not os.path.isdir(match):
                files.append(match)
                continue
            try:
                found = find_images(Path(match))
            except OSError as error:
                faults.append(DataError(f"{shown(match)} cannot be read: {error.strerror}."))
                continue
            files += map(str, found.images)
            faults += [DataError(sentence) for _, sentence in found.faults]
            passed_over += found.passed_over
            if not found.images and not found.faults and not pattern:
                faults.append(DataError(f"{shown(match)} holds no image."))
    note_passed_over(passed_over)
    return files, faults


def read_batches(
    paths: Sequence[str],
    batch_size: int,
    preprocess: Callable[[UInt8[np.ndarray, "h w c"]], UInt8[np.ndarray, "h2 w2 c2"]],
    image_shape: tuple[int, int, int],
) -> Iterator[FileBatch]:
    """Image files in batches of exactly `batch_size` rows, in order, decoded by a thread for each processor.

    Args:
      preprocess: brings an image to `image_shape`.
    """
    threads = available_processors()
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        for first in range(0, len(paths), batch_size):
            part = list(paths[first : first + batch_size])
            images, faults = np.zeros((batch_size, *image_shape), np.uint8), dict[str, DataError]()

            def read(row: int, part: list[str] = part, images: np.ndarray = images, faults: dict = faults) -> None:
                try:
                    images[row] = preprocess(read_image(part[row]))
                except DataError as error:
                    faults[part[row]] = error

            parallel_for(pool, threads, read, len(part))
            yield FileBatch(part, images, {path: faults[path] for path in part if path in faults})
