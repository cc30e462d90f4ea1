"""Files that are there whole, or as they were before, and say so themselves."""

import json
import os
import zlib
from pathlib import Path
from typing import Any


def json_crc32(content: dict[str, Any]) -> int:
    """The CRC-32 of what a JSON file holds, however it is laid out."""
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file in one piece: a kill or a full disk leaves the old one."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
