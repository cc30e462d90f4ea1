"""Prediction: image files through a trained run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.data import DataError, read_image
from cnn_jax.runs.compare import check_data
from cnn_jax.runs.console.pictures import class_name
from cnn_jax.runs.content import knows_data_now
from cnn_jax.runs.evaluation import load_variables
from cnn_jax.runs.folder.own_code import with_code
from cnn_jax.runs.folder.run import read_run
from cnn_jax.runs.session import open_session, precision


class UnreadableImages(DataError):
    """Some of the images could not be read: the message names each; `predictions` holds those of the others."""

    def __init__(self, faults: Sequence[DataError], predictions: list[dict[str, Any]]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.predictions = predictions


def predict(
    run: Path | str,
    images: Sequence[Path | str],
    *,
    top: int = 5,
    step: int | str = "latest",
    trust_code: bool = False,
) -> list[dict[str, Any]]:
    """The most probable classes of image files.

    Each image is brought to the size and channels of the run's data set, then treated as at evaluation.

    Args:
      run: a run folder.
      images: paths of image files.
      top: how many classes to give; fewer where there are fewer.
      step: "latest", "best" or the number of a saved step.
      trust_code: as `evaluate`.

    Returns:
      One `{image, classes, probabilities}` per image, the most probable class first.

    Raises:
      RunError, CheckpointError: as `evaluate`.
      UnreadableImages: after all images, for those that could not be read.
    """
    with with_code(read_run(run), trust_code=trust_code) as opened, precision(opened.config.model.dtype):
        if opened.content.data is None or knows_data_now(opened.config):  # no data are read to classify other images
            check_data(opened)
        session = open_session(opened.config, opened.derived, opened.info)
        pixels: dict[str, np.ndarray] = {}
        faults: list[DataError] = []
        for path in map(str, images):
            try:
                pixels[path] = session.preprocess(read_image(path))
            except DataError as error:
                faults.append(error)
        _, variables = load_variables(opened, session, step)
        logits = jax.jit(session.logits)
        # One image at a time: a batch would compile anew for every number of images.
        rows = {k: np.asarray(jax.nn.softmax(logits(variables, x[None])[0])) for k, x in pixels.items()}
    predictions = []
    for path in map(str, images):
        if path not in rows:
            continue
        probabilities = rows[path]
        order = np.argsort(-probabilities, kind="stable")[:top]
        classes = [class_name(session.info, int(k)) for k in order]
        predictions.append(
            {"image": path, "classes": classes, "probabilities": [float(probabilities[k]) for k in order]}
        )
    if faults:
        raise UnreadableImages(faults, predictions)
    return predictions
