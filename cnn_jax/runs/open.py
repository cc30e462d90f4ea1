"""A run, opened to look into it: its configuration and network, its variables at a saved step, its data and figures."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, UInt8

from cnn_jax.config import Config, load_experiment, neighbours, network_name
from cnn_jax.data import Dataset, DatasetInfo
from cnn_jax.models import architecture, create_model
from cnn_jax.runs.compare import check_data
from cnn_jax.runs.evaluation import Answers, answers, load_variables
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.folder.metrics_file import read_metrics
from cnn_jax.runs.folder.own_code import with_code
from cnn_jax.runs.folder.run import Run, read_run
from cnn_jax.runs.machine.settings import precision
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.session import Session, open_session


def open_run(path: Path | str, *, trust_code: bool = False) -> "OpenRun":
    """A run folder, for reading; nothing in it is changed.

    Args:
      path: the run folder.
      trust_code: run the code of one's own that lies in the folder, although this user has not trained with it.

    Raises:
      RunError: when it is not a run folder, its `config.json` or its code was changed, or its code is not trusted.

    Example:
      run = cnn_jax.open_run("runs/digits_lenet-0123abcd")
      variables = run.variables("best")
      logits = run.logits(variables, run.dataset("test").images(np.arange(10)))
    """
    with with_code(read_run(path), trust_code=trust_code) as opened, precision(opened.config.model.dtype):
        return OpenRun(opened, open_session(opened.config, opened.derived, opened.info))


class OpenRun:
    """What `open_run` gives."""

    def __init__(self, run: Run, session: Session) -> None:
        self._run, self._session = run, session

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._run.directory

    @property
    def config(self) -> Config:
        """As it was trained, with functions as their names."""
        return self._run.config

    @property
    def info(self) -> DatasetInfo:
        """What is known of its data: shape of an image, class names, mean and deviation."""
        return self._session.info

    @property
    def model(self) -> nn.Module:
        """The network, to be applied to `variables` and normalised images, or looked into by `cnn_jax.features`."""
        return self._session.model

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) as the network sees images."""
        return self._session.image_shape

    @property
    def steps(self) -> list[int]:
        """The steps that are saved, in ascending order."""
        with contextlib.closing(Checkpoints(self._run.checkpoints, read_only=True)) as checkpoints:
            return checkpoints.steps

    def variables(self, step: int | str = "latest") -> dict[str, Any]:
        """What evaluation uses at a step: "params" and "batch_stats", averaged where the run keeps an average.

        Args:
          step: "latest", "best" (on the validation split) or the number of a saved step.

        Raises:
          CheckpointError: when it was not saved, or is damaged.
        """
        with self._here():
            return load_variables(self._run, self._session, step)[1]

    def logits(self, variables: dict[str, Any], images: UInt8[np.ndarray, "b h w c"]) -> Float[Array, "b k"]:
        """The network's outputs for images as `dataset` and `preprocess` give them, prepared as at evaluation."""
        with self._here():
            return self._logits(variables, images)

    def answers(self, variables: dict[str, Any], split: str) -> Answers:
        """What the network says of every example of a split: index, label and logits float32 [n, k].

        Raises:
          RunError, DataError: as `dataset`.
        """
        with self._here():
            return answers(self._session, variables, self.dataset(split))

    def dataset(self, split: str) -> Dataset:
        """A split of the run's data set: "train", "validation" or "test".

        Raises:
          RunError: when the data set is not the one that the run was trained on.
          DataError: when it is not prepared.
        """
        with self._here():
            check_data(self._run)
            return self._session.dataset(split)

    def preprocess(self, image: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h2 w2 c2"]:
        """An image from elsewhere in the size and channels of the data set's own."""
        with self._here():
            return self._session.preprocess(image)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`: step, split, loss, top1 and what else was measured; for `pandas.DataFrame`."""
        return read_metrics(self.path)

    @functools.cached_property
    def _logits(self) -> Any:
        return jax.jit(self._session.logits)

    @contextlib.contextmanager
    def _here(self) -> Iterator[None]:
        """In the run's precision, and with its own modules to be imported from."""
        code = self._run.config.code
        with precision(self.config.model.dtype), neighbours(None if code is None else code.folder):
            yield


def find_network(
    name: str, num_classes: int | None = None, dtype: Any = None, *, trust_code: bool = False
) -> tuple[str, nn.Module, tuple[int, int, int]]:
    """A network by a name of ours, an experiment file or a run folder; with what to call it, and its images' shape.

    Args:
      num_classes: of a network of ours by name; None: as published.
      dtype: of the computation; None: float32, or the experiment's.
      trust_code: as of `open_run`, for a run.

    Raises:
      ValueError: for a name that is none of them.
      ConfigError, RunError, DataError: as `train` for an experiment, as `open_run` for a run.
    """
    if name.endswith(".py"):
        config = load_experiment(name)
        if dtype is not None:
            config = dataclasses.replace(config, model=dataclasses.replace(config.model, dtype=dtype))
        with neighbours(None if config.code is None else config.code.folder), precision(config.model.dtype):
            session = open_session(resolve_parts(config))
        return network_name(config), session.model, session.image_shape
    if Path(name).is_dir():
        run = open_run(name, trust_code=trust_code)
        return network_name(run.config), run.model, run.image_shape
    return name, create_model(name, num_classes, jnp.dtype(dtype or "float32")), architecture(name).image_shape
