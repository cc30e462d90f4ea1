"""Experiment files: plain Python that defines `config()`."""

import dataclasses
import re
from pathlib import Path
from typing import Any

from cnn_jax.config.errors import ConfigError
from cnn_jax.config.flat import check_types, nearest
from cnn_jax.config.sections import Config, DataConfig, ModelConfig, OptimConfig, ParallelConfig, TrainConfig
from cnn_jax.models.options import ModelOptions
from cnn_jax.paths import local_path


def _remedy(error: TypeError | NameError) -> str:
    """What the writer of an experiment file may have meant."""
    configs: list[type[Any]] = [Config, ModelConfig, DataConfig, OptimConfig, TrainConfig, ParallelConfig, ModelOptions]
    parts = {part.__name__: part for part in configs}
    if isinstance(error, NameError):
        return f" Import it: `from cnn_jax import {error.name}`." if error.name in parts else ""
    mistake = re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if mistake is None or mistake[1] not in parts:
        return ""
    return nearest(mistake[2], [f.name for f in dataclasses.fields(parts[mistake[1]])])


def load_experiment(path: Path | str) -> Config:
    """Runs an experiment file and returns what its `config()` returns, with every type checked.

    Raises:
      ConfigError: when the file is missing, has no `config()`, or `config()` does not make a valid Config.
    """
    path = local_path(path, "EXPERIMENT", utf8=False)
    if not path.is_file():
        folder = path.parent if path.parent.is_dir() else Path()
        there = [p.name for p in folder.glob("*.py")]
        raise ConfigError(
            f"There is no experiment file `{path}`.{nearest(path.name, there, f'{folder}/') if there else ''}"
        )
    scope: dict[str, Any] = {"__name__": path.stem, "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), scope)
    if not callable(scope.get("config")):
        raise ConfigError(
            f"`{path}` must define `config()`, a function without arguments that returns a cnn_jax.Config."
        )
    try:
        config = scope["config"]()
    except (TypeError, NameError) as error:
        raise ConfigError(f"`{path}`: {error}.{_remedy(error)}") from error
    if not isinstance(config, Config):
        raise ConfigError(f"`config()` in `{path}` must return a cnn_jax.Config, got {type(config).__name__}.")
    return check_types(config)
