"""The experiment file of a training command, wherever it stands: its values are the defaults of the command's flags."""

import contextlib
import dataclasses
import functools
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tyro

from cnn_jax.cli.network_flags import value_of, with_options, with_options_of
from cnn_jax.config import Config, ConfigError, TrainConfig, load_experiment, neighbours, without_arguments


def bind(train: Callable[..., int], words: Sequence[str]) -> Callable[..., int]:
    """`train` for these words, which follow it on the command line.

    The words are parsed twice: which of them is the file depends on the flags around it, not on their defaults.  Where
    the first parse fails, `train` itself is returned, for the second to fail in the same way and say why.

    Raises:
      ConfigError: from the experiment file, or when the length is given in both ways.
    """
    found = _parse(train, words)
    if found is None:
        return with_options_of(train, Config(), words)[0]
    experiment, flags = found
    config = load_experiment(experiment)
    if config.train.steps is not None and config.train.epochs != TrainConfig().epochs:
        raise ConfigError(f"`{experiment}` sets `train.epochs` and `train.steps`, which replaces it; leave one out.")
    _check_length(config, flags, words)
    config = _with_arguments(config, words)
    command, options = with_options_of(train, config, words)
    return functools.partial(command, config=config, options=options)


def check_words(train: Callable[..., int], words: Sequence[str]) -> None:
    """Parses the words of a training command as `bind` does, and trains nothing.

    Raises:
      ConfigError: as `bind`.
      SystemExit: after a message, when a flag or its value is mistaken.
    """

    @functools.wraps(train)
    def nothing(*_: Any, **__: Any) -> int:
        return 0

    tyro.cli(bind(nothing, words), prog="cnn-jax train", args=list(words))


def _with_arguments(config: Config, words: Sequence[str]) -> Config:
    """The configuration with all that its optimiser takes, so that it has flags."""
    network, name = value_of("--model.name", words), value_of("--optim.name", words)
    config = without_arguments(config, network, name)
    if name is not None:
        config = dataclasses.replace(config, optim=dataclasses.replace(config.optim, name=name))
    arguments = {key: value for key, value in _defaults(config).items() if value is not None}
    optim = dataclasses.replace(config.optim, arguments=arguments | config.optim.arguments)  # type: ignore[operator]
    return dataclasses.replace(config, optim=optim)


def without_defaults(config: Config) -> Config:
    """The configuration without arguments of the optimiser that say what it takes by default."""
    defaults = _defaults(config)
    arguments = {k: v for k, v in config.optim.arguments.items() if k not in defaults or v != defaults[k]}
    return dataclasses.replace(config, optim=dataclasses.replace(config.optim, arguments=arguments))


def _defaults(config: Config) -> dict[str, Any]:
    from cnn_jax.runs.parts import default_arguments

    with neighbours(None if config.code is None else config.code.folder):
        return default_arguments(config)


def given(words: Sequence[str]) -> set[str]:
    """The flags among the words of a command, spelled with hyphens."""
    return {word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")}


def _parse(train: Callable[..., int], words: Sequence[str]) -> tuple[Path, Config] | None:
    """The experiment file, and the package's defaults with the values of the flags."""
    found: list[tuple[Path, Config]] = []

    @functools.wraps(train)
    def note(experiment: Path, /, config: Config, **_: Any) -> int:
        found.append((experiment, config))
        return 0

    command = with_options(note, {})
    asked = _without_arguments([word for word in words if word not in ("-h", "--help")])
    unheard = io.StringIO()
    with contextlib.redirect_stdout(unheard), contextlib.redirect_stderr(unheard), contextlib.suppress(SystemExit):
        tyro.cli(command, args=asked)
    return found[0] if found else None


def _without_arguments(words: Sequence[str]) -> list[str]:
    """The words without arguments of parts, and their values: which there are, and of which type, the file tells."""
    kept, skipping = [], False
    for word in words:
        if word.startswith("--") or word.endswith(".py"):
            skipping = word.startswith(("--optim.arguments.", "--model.options."))
        if not skipping:
            kept.append(word)
    return kept


def _check_length(experiment: Config, flags: Config, words: Sequence[str]) -> None:
    """Refuses a flag for the epochs that a number of steps replaces; steps in place of a file's epochs are welcome."""
    names = given(words)
    if "--train.epochs" not in names:
        return
    if "--train.steps" not in names and experiment.train.steps is not None:
        raise ConfigError(
            f"`train.epochs` has no effect: the experiment sets `train.steps` to {experiment.train.steps}, which "
            "replaces it. Unset that as well, with `--train.steps None`."
        )
    if flags.train.steps is not None:
        raise ConfigError("`train.epochs` has no effect beside `train.steps`, which replaces it; give one of the two.")
