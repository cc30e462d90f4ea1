"""The flags below `--model.options`: what the network of an experiment takes, with its types."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypedDict

import tyro
from tyro.conf import arg

from cnn_jax.config import Config

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
    name = config.model.name
    for word, following in zip(words, [*words[1:], ""], strict=True):
        flag, equals, value = word.partition("=")
        if flag == "--model.name":
            name = value if equals else following
    own = MODELS[name].options if name in MODELS else every
    options = own | {key: option for key, option in every.items() if key in given}
    help = _help(MODELS[name].family) if name in MODELS else {}
    help = {key: f"{help.get(key, '')} As published: {option.default}." for key, option in own.items()}
    return with_options(train, options, help), {k: v for k, v in config.model.options.items() if k in options}


def _help(family: type) -> dict[str, str]:
    """What the docstrings of a family and its bases say of their arguments."""
    found: dict[str, str] = {}
    for base in reversed(family.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "").partition("Args:")[2]
        for names, words in re.findall(r"^ {2}([\w, ]+): (.*?)(?=^ {0,2}\S|\Z)", text, re.DOTALL | re.MULTILINE):
            found |= dict.fromkeys(names.split(", "), " ".join(words.split()))
    return found
