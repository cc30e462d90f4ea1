"""What is known and what is prepared, as plain figures for people and machines."""

import os
from pathlib import Path
from typing import Any

from cnn_jax.data.sets.catalogue import ANY_SIZE, DATASETS
from cnn_jax.data.sets.terms import TERMS
from cnn_jax.data.store.arrays import read_arrays_info
from cnn_jax.data.store.prepare import skipped_files
from cnn_jax.data.store.root import data_root, find_prepared


def list_datasets(root: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """Every known set, prepared or not, and the stored states of your own folders.

    Args:
      root: the folder of prepared sets; None finds it as `load_dataset` does.

    Returns:
      One dict each: name, prepared, source, num_classes, image_shape (None for height and width that vary), splits
      (the examples in each: as published, or as stored once prepared), class_names, licence and citation (not of your
      own folders); and path, version, mean and std
      (of the training images in 0..1) and skipped (the files left out), which are None for what is not prepared.
    """
    folder = data_root(root)
    rows = [
        {
            "name": spec.name,
            "source": spec.source,
            "image_shape": spec.image_shape,
            "num_classes": spec.num_classes,
            "splits": dict(spec.splits),
            "class_names": spec.class_names,
            **TERMS[spec.family]._asdict(),
            **_stored(find_prepared(folder, spec.name)),
        }
        for spec in DATASETS.values()
    ]
    for place in sorted(info.parent for info in folder.glob("folder/*/*/dataset_info.json")):
        name = str(place.parent.relative_to(folder))
        rows.append({"name": name, "source": "folder", "image_shape": ANY_SIZE, **_stored(place)})
    return rows


def _stored(place: Path | None) -> dict[str, Any]:
    about = read_arrays_info(place) if place else None
    if place is None or about is None:
        unknown = dict.fromkeys(("mean", "std", "version", "path", "skipped"))
        return {"prepared": place is not None, **unknown}
    return {
        "prepared": True,
        "num_classes": len(about.class_names),
        "splits": about.splits,
        "class_names": about.class_names,
        "mean": about.mean,
        "std": about.std,
        "version": place.name,
        "path": str(place),
        "skipped": skipped_files(place),
    }
