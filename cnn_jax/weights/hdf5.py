"""What an HDF5 file from a stranger may not contain: roads out of it, and more numbers than it has bytes for."""

from pathlib import Path
from typing import Any

from cnn_jax.weights.files import WeightsError

# Keras writes plain numbers; compression makes a file of weights a little smaller, never so much.
_MOST_PER_BYTE = 16


def check_self_contained(file: Any, path: Path) -> None:
    """Refuse an open `h5py.File` that reads other files, by links or storage of its own choice, or asks for too much.

    Raises:
      WeightsError: naming what it is that leads elsewhere.
    """
    import h5py

    allowed = _MOST_PER_BYTE * path.stat().st_size
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
            elif hasattr(found, "external"):
                allowed -= _check_dataset(found, path)
                if allowed < 0:
                    raise WeightsError(f"`{path}` is refused: it asks for far more memory than it has bytes.")


def _check_link(link: Any, name: str, path: Path) -> None:
    import h5py

    if not isinstance(link, h5py.HardLink):
        raise WeightsError(f"`{path}` is refused: its {name} is a link to elsewhere; weights lie in the file itself.")


def _check_dataset(found: Any, path: Path) -> int:
    """The bytes of a dataset in memory."""
    if found.external is not None or found.is_virtual:
        raise WeightsError(f"`{path}` is refused: its {found.name} is stored in other files of this machine.")
    if found.dtype.kind not in "fiub":
        return 0  # not read as weights, which are numbers
    return int(found.nbytes)
