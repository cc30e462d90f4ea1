"""Prediction: image files through a trained run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.data import read_image
from cnn_jax.training.compare import check_data
from cnn_jax.training.evaluation import load_variables
from cnn_jax.training.pictures import class_name
from cnn_jax.training.run import read_run
from cnn_jax.training.session import open_session, precision


def predict(
    run: Path | str, images: Sequence[Path | str], *, top: int = 5, step: int | str = "latest"
) -> list[dict[str, Any]]:
    """The most probable classes of image files.

    Each image is brought to the size and channels of the run's data set, then treated as at evaluation.

    Args:
      run: a run folder.
      images: paths of image files.
      top: how many classes to give; fewer where there are fewer.
      step: "latest", "best" or the number of a saved step.

    Returns:
      One `{image, classes, probabilities}` per image, the most probable class first.

    Raises:
      RunError, CheckpointError: as `evaluate`.
      DataError: for a file that is not an image that can be read, naming it.
    """
    opened = read_run(run)
    check_data(opened)
    with precision(opened.config.model.dtype):
        session = open_session(opened.config, opened.derived)
        pixels = [session.fit(read_image(Path(path))) for path in images]
        _, variables = load_variables(opened, session, step)
        logits = jax.jit(session.logits)
        # One image at a time: a batch would compile anew for every number of images.
        rows = [np.asarray(jax.nn.softmax(logits(variables, image[None])[0])) for image in pixels]
    predictions = []
    for path, probabilities in zip(images, rows, strict=True):
        order = np.argsort(-probabilities, kind="stable")[:top]
        classes = [class_name(session.info, int(k)) for k in order]
        predictions.append(
            {"image": str(path), "classes": classes, "probabilities": [float(probabilities[k]) for k in order]}
        )
    return predictions
