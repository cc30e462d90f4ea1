"""The names of a set's classes, in a file of their own: TFDS keeps one a line, and loses those with a line break."""

import json
from pathlib import Path
from typing import Any

CLASS_NAMES = "class_names.json"


def class_names_text(names: tuple[str, ...]) -> str:
    """What CLASS_NAMES holds."""
    return json.dumps(names)


def stored_class_names(folder: Path, label: Any) -> tuple[str, ...]:
    """The class names of a prepared set, in the order of the labels.

    Args:
      label: TFDS's feature, which names them in sets that were prepared without that file.
    """
    path = folder / CLASS_NAMES
    if path.exists():
        return tuple(json.loads(path.read_text()))
    return tuple(map(label.int2str, range(label.num_classes)))


def survive_tfds(names: tuple[str, ...]) -> bool:
    """Whether TFDS reads the names as it wrote them."""
    return all(name.isprintable() and name.strip() == name != "" for name in names)
