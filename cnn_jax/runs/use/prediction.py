"""Prediction: image files through a trained run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from cnn_jax.config import ConfigError
from cnn_jax.data import find_image_files, read_batches
from cnn_jax.runs.compare import check_data
from cnn_jax.runs.console.pictures import class_names
from cnn_jax.runs.content import knows_data_now
from cnn_jax.runs.evaluation import load_variables
from cnn_jax.runs.folder.own_code import with_code
from cnn_jax.runs.folder.run import read_run
from cnn_jax.runs.session import open_session, precision
from cnn_jax.runs.use.classification import classify, fitting_batch
from cnn_jax.runs.use.exported import classify_exported


def predict(
    run: Path | str,
    images: Sequence[Path | str],
    *,
    top: int = 5,
    step: int | str = "latest",
    trust_code: bool = False,
    quiet: bool = True,
) -> list[dict[str, Any]]:
    """The most probable classes of image files.

    Each image is brought to the size and channels of the run's data set, then treated as at evaluation. The batches
    have one size, which follows from the number of images. An image's place in a batch, and that size, change its
    probabilities by rounding alone: sums are taken in another order (LeNet-5 in float32: by less than 3e-7).

    Args:
      run: a run folder, or a `.zip` that `export` wrote, which needs no code of the network's.
      images: paths of image files, of folders of them, and patterns such as "photos/*.jpg".
      top: how many classes to give; fewer where there are fewer.
      step: "latest", "best" or the number of a saved step.
      trust_code: as `evaluate`. A zip has neither.
      quiet: show no progress on standard error.

    Returns:
      One `{image, classes, probabilities}` per image, the most probable class first.

    Raises:
      RunError, CheckpointError: as `evaluate`.
      ExportError: for a zip that cannot be used.
      UnreadableImages: after all images, for those that could not be read, and folders and patterns without images.
    """
    if Path(run).suffix == ".zip" and not Path(run).is_dir():
        for flag, given in (("step", step != "latest"), ("trust-code", trust_code)):
            if given:
                raise ConfigError(f"`--{flag}` has no effect on `{run}`, an export of one step; leave it out.")
        return classify_exported(run, images, top=top, quiet=quiet)
    with with_code(read_run(run), trust_code=trust_code) as opened, precision(opened.config.model.dtype):
        if opened.content.data is None or knows_data_now(opened.config):  # no data are read to classify other images
            check_data(opened)
        session = open_session(opened.config, opened.derived, opened.info)
        files, faults = find_image_files(images)
        _, variables = load_variables(opened, session, step)
        devices = session.layout.num_devices
        size = -(-fitting_batch(len(files)) // devices) * devices
        batches = read_batches(files, size, session.preprocess, session.info.image_shape)
        say = jax.jit(lambda variables, images: jax.nn.softmax(session.logits(variables, images)))
        names = class_names(session.info, session.derived.num_classes)
        return classify(
            batches,
            lambda images: say(variables, jax.device_put(images, session.layout.split)),
            names,
            num_images=len(files),
            faults=faults,
            top=top,
            quiet=quiet,
        )
