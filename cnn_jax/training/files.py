"""Files that are there whole, or as they were before."""

import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file in one piece: a kill or a full disk leaves the old one."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
