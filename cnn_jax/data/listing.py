"""What is known and what is prepared, as plain figures for people and machines."""

import os
from typing import Any

from .arrays import read_arrays_info
from .catalogue import KNOWN_SETS
from .store import data_root, find_prepared


def list_datasets(root: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """Every known set, prepared or not, below `root` (as `load_dataset` finds it).

    Returns:
        One dict each: name, prepared, num_classes, image_shape, splits (examples in each as published; as stored once
        prepared),
        class_names, and, once prepared, path, version, mean and std (of the training images in 0..1); else these are
        None.
    """
    folder = data_root(root)
    rows = []
    for name, known in KNOWN_SETS.items():
        prepared = find_prepared(folder, name)
        about = read_arrays_info(prepared) if prepared else None
        rows.append(
            {
                "name": name,
                "prepared": prepared is not None,
                "source": known.source,
                "num_classes": known.num_classes,
                "image_shape": known.image_shape,
                "splits": about.splits if about else dict(known.splits),
                "mean": about and about.mean,
                "std": about and about.std,
                "class_names": about.class_names if about else known.class_names,
                "version": prepared and prepared.name,
                "path": prepared and str(prepared),
            }
        )
    return rows
