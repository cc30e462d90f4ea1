"""The flags below `--model.options`: what the network of an experiment takes, with its types."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypedDict

import tyro
from tyro.conf import arg

from cnn_jax.config import Config, neighbours

_PREFIX = "--model.options."


def every_option() -> dict[str, Any]:
    """The options of all networks, by name."""
    from cnn_jax.models import MODELS

    return {name: option for entry in reversed(MODELS.values()) for name, option in entry.options.items()}


def with_options(
    train: Callable[..., int], options: Mapping[str, inspect.Parameter], help: Mapping[str, str] = {}
) -> Any:
    """The command with a flag for each option; those that are not given are not in the mapping that it gets."""
    fields = {
        name: Annotated[option.annotation, tyro.conf.FlagConversionOff, arg(help=help.get(name, ""))]
        for name, option in options.items()
    }
    make: Any = TypedDict
    flags: Any = Annotated[make("Options", fields, total=False), arg(name="model.options")]

    def command(*args: Any, **kwargs: Any) -> int:
        return train(*args, **kwargs)

    signature = inspect.signature(train)
    parameters = [
        p.replace(annotation=flags, default={}) if p.name == "options" else p for p in signature.parameters.values()
    ]
    command.__doc__, command.__name__ = train.__doc__, train.__name__
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


def with_options_of(
    train: Callable[..., int], config: Config, words: Sequence[str]
) -> tuple[Callable[..., int], dict[str, Any]]:
    """The command with the options of the network that is meant, and those that the experiment sets.

    An option of another network only is taken as well where it is given: it is refused by the network's own sentence.
    """
    from cnn_jax.models import MODELS

    every = every_option()
    given = {
        word.partition("=")[0].removeprefix(_PREFIX).replace("-", "_") for word in words if word.startswith(_PREFIX)
    }
    asked = value_of("--model.name", words)
    name = str(config.model.name) if asked is None else asked
    own, help, usual = every, {}, "As published"
    if name in MODELS:
        own, help = MODELS[name].options, _help(MODELS[name].family)
    elif ":" in name:
        own, usual = _own_options(config, name), "When not given"
    options = {key: option for key, option in every.items() if key in given} | own
    help = {key: f"{help.get(key, '')} {usual}: {option.default}." for key, option in own.items()}
    return with_options(train, options, help), {k: v for k, v in config.model.options.items() if k in options}


def _own_options(config: Config, name: str) -> dict[str, inspect.Parameter]:
    """The arguments of a network that is none of ours, those that text on the command line can give."""
    from cnn_jax.runs.parts import default_options

    config = replace(config, model=replace(config.model, name=name, options={}))
    with neighbours(None if config.code is None else config.code.folder):
        defaults = default_options(config)
    kinds = {key: _kind(value) for key, value in defaults.items()}
    return {
        key: inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=defaults[key], annotation=kind)
        for key, kind in kinds.items()
        if kind is not None
    }


def _kind(value: Any) -> Any:
    """The type of a flag whose default this is; None where the default does not show it."""
    if isinstance(value, tuple):
        kinds = {type(item) for item in value}
        return tuple[(kinds.pop(), ...)] if len(kinds) == 1 and kinds <= {int, float, str} else None  # type: ignore[misc]
    return type(value) if isinstance(value, (bool, int, float, str)) else None


def _help(family: type) -> dict[str, str]:
    """What the docstrings of a family and its bases say of their arguments."""
    found: dict[str, str] = {}
    for base in reversed(family.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "").partition("Args:")[2]
        for names, words in re.findall(r"^ {2}([\w, ]+): (.*?)(?=^ {0,2}\S|\Z)", text, re.DOTALL | re.MULTILINE):
            found |= dict.fromkeys(names.split(", "), " ".join(words.split()))
    return found


def value_of(flag: str, words: Sequence[str]) -> str | None:
    """The last value given to a flag; None where there is none."""
    value = None
    for word, following in zip(words, [*words[1:], None], strict=True):
        name, equals, rest = word.partition("=")
        if name.replace("_", "-") == flag.replace("_", "-"):
            value = rest if equals else following
    return value
