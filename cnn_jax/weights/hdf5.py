"""What an HDF5 file from a stranger may not contain: roads out of it, and more numbers than it has bytes for."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.weights.files import WeightsError


class Reader:
    """Reads the datasets of one open `h5py.File` that is self-contained, as long as their sizes are in proportion."""

    def __init__(self, file: Any, path: Path, most_bytes: int) -> None:
        """Look through the whole file.

        Args:
          most_bytes: that may be read, all in all.

        Raises:
          WeightsError: where it reads other files, by links or storage of its own choice: naming what leads elsewhere.
        """
        _check_self_contained(file, path)
        self._path, self._allowed = path, most_bytes

    def __call__(self, dataset: Any) -> np.ndarray:
        """The numbers of a dataset.

        Every reading counts: a name may stand in a list, and a dataset in a file, more than once.

        Raises:
          WeightsError: for other things than numbers, or too many.
        """
        if dataset.dtype.kind not in "fiub":
            raise WeightsError(f"`{self._path}`: {dataset.name} holds {dataset.dtype}; weights are numbers.")
        unpacked = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize  # however little of it is asked for
        self._allowed -= max(int(dataset.nbytes), unpacked)
        if self._allowed < 0:
            raise WeightsError(f"`{self._path}` is refused: it asks for far more memory than it has bytes.")
        return np.asarray(dataset[()])


def _check_self_contained(file: Any, path: Path) -> None:
    import h5py

    seen: set[Any] = set()
    waiting: list[Any] = [file]
    while waiting:
        group = waiting.pop()
        for name in group:
            _check_link(group.get(name, getlink=True), f"{group.name}/{name}".replace("//", "/"), path)
            found = group[name]
            address = h5py.h5o.get_info(found.id).addr
            if address in seen:  # a second link to the same thing
                continue
            seen.add(address)
            if hasattr(found, "keys"):
                waiting.append(found)
            elif hasattr(found, "external") and (found.external is not None or found.is_virtual):
                raise WeightsError(f"`{path}` is refused: its {found.name} is stored in other files of this machine.")


def _check_link(link: Any, name: str, path: Path) -> None:
    import h5py

    if not isinstance(link, h5py.HardLink):
        raise WeightsError(f"`{path}` is refused: its {name} is a link to elsewhere; weights lie in the file itself.")
