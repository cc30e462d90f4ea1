"""What a finished run says of every test example, in `predictions.npz`: its most probable classes."""

import io
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from cnn_jax.runs.folder.files import write_atomically
from cnn_jax.runs.folder.stored import RunError

FILE_NAME = "predictions.npz"


@dataclass(frozen=True)
class Predictions:
    """Of every example of a split once, in the order of the split; k is 5, or the number of classes if that is less."""

    index: Int[np.ndarray, "n"]
    """Which example of the split, from 0: int32."""
    label: Int[np.ndarray, "n"]
    classes: Int[np.ndarray, "n k"]
    """The most probable classes, most probable first."""
    probabilities: Float[np.ndarray, "n k"]
    """Of these classes, float32."""

    @property
    def correct(self) -> Bool[np.ndarray, "n"]:
        """Whether the most probable class is the true one."""
        return self.classes[:, 0] == self.label


def write_predictions(directory: Path, predictions: Predictions) -> None:
    """Into a run's folder, in one piece."""
    content = io.BytesIO()
    np.savez_compressed(content, **vars(predictions))
    write_atomically(directory / FILE_NAME, content.getvalue())


def read_predictions(directory: Path) -> Predictions | None:
    """From a run's folder; None where there are none: the run looked at no test split, or is of an earlier version.

    Raises:
      RunError: when the file is damaged.
    """
    path = directory / FILE_NAME
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            found = Predictions(**{field.name: file[field.name] for field in fields(Predictions)})
        if len({len(array) for array in vars(found).values()}) != 1 or found.classes.shape != found.probabilities.shape:
            raise ValueError("its arrays do not belong together")
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, zipfile.error) as error:
        raise RunError(f"`{path}` is damaged ({error}); put back a copy.") from error
    return found
