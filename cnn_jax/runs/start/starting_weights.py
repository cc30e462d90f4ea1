"""What `model.weights` names: a file; or a run, which stands for the file that `weights export` makes of it."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cnn_jax.config import ConfigError
from cnn_jax.paths import local_path
from cnn_jax.runs.folder.paths import run_and_step
from cnn_jax.weights import WeightsError


def find_run(weights: str) -> tuple[Path, str] | None:
    """The folder of a run and its step, of RUN or RUN@STEP; None for a file."""
    folder, step = run_and_step(weights, "model.weights")
    return (folder, step) if folder.is_dir() else None


@contextlib.contextmanager
def weights_file(weights: str, dtype: str) -> Iterator[Path]:
    """The file, while the context lasts; of a run, one of its evaluated variables, in the precision of its training.

    So equal arrays are one experiment, and what does not fit is refused alike, whether they come as a run or as a file.

    Args:
      weights: as `model.weights`.
      dtype: of the computation that asks.

    Raises:
      RunError, CheckpointError: when it is no run, or a damaged one.
      ConfigError: when it is not finished, and no step is named, or its precision is another.
    """
    found = find_run(weights)
    if found is None:
        yield local_path(weights, "model.weights", utf8=False)
        return
    from cnn_jax.runs.use.import_export import export_weights  # here, because that begins with what is here

    folder, step = found
    _check_usable(folder, step, dtype)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "weights.safetensors"
        export_weights(folder, file, step=step)
        try:
            yield file
        except WeightsError as error:
            raise WeightsError(str(error).replace(str(file), weights)) from error


def _check_usable(folder: Path, step: str, dtype: str) -> None:
    from cnn_jax.runs.folder.stored import read_run

    run = read_run(folder)
    saved = [int(path.name) for path in run.checkpoints.glob("*") if path.name.isdecimal()]
    imported = run.content.weights is not None and run.config.model.weights is None
    if step == "latest" and saved and max(saved) < run.derived.steps and not imported:
        raise ConfigError(
            f"`model.weights` is {folder}, a run that stands at step {max(saved):,} of {run.derived.steps:,}: train it "
            f"to its end, or name a step that is saved, as in {folder}@{max(saved)}."
        )
    if "float64" in (dtype, run.config.model.dtype) and dtype != run.config.model.dtype:
        raise ConfigError(
            f"`model.weights` is {folder}, a run in {run.config.model.dtype}, and this one is in {dtype}: write its "
            f"weights to a file first, `cnn-jax weights export {folder} FILE.safetensors`."
        )
