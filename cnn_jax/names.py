"""Parts by name: how a name becomes a function, what the function is given, and how an object becomes a name.

A *part* is a plain callable: the constructor of an optimiser, a schedule, a loss, a gradient rule. The configuration
holds its name, and its arguments as literals:

    sgd                             one of ours
    optax:lion, my_package.x:lion   an attribute of a module
    mine.py:lion                    of a file below the experiment's folder
    :lion                           of the experiment file itself

Schedules, losses and gradient rules bear their arguments behind the name, `step(factor=0.2)`, `:focal(gamma=2)`; those
of the optimiser stand under `optim.arguments`.

A part is called with these arguments, and with what its signature asks for by name:

    part           is called as                      offered by name
    optimiser      constructor of an Optax           learning_rate (a schedule; a number where its type says so, or as
                   transformation                    max_learning_rate), weight_decay, mask or weight_decay_mask,
                                                     warmup_steps, muon_weight_dimension_numbers, seed; its update may
                                                     ask for value, grad, value_fn, obj_fn
    schedule       part of the peak by `fraction`    learning_rate, peak, peak_value, init_value, value (the peak);
                   of the run after the warm-up;     steps, decay_steps, transition_steps (those after the warm-up);
                   or rate by `step`; else a         total_steps, first_step (the first after the warm-up);
                   constructor of such a function    warmup_steps (then it warms up itself, and its steps are all)
    loss           (logits [b, k], targets) -> [b]   label_smoothing, num_classes
    gradient rule  (gradient, state, batch) ->       nothing more
                   (gradients, forward)

Targets are int [b], or float [b, k] after mixing. A rule's `gradient(params)` is that of the mean over the global
batch; see `cnn_jax.training.rules`.
"""

import ast
import functools
import importlib
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.nearest import nearest_names

EXPERIMENT = "cnn_jax_experiment_"
"""What the modules that experiment files become are called, with a digest behind it."""


def split(text: str) -> tuple[str, dict[str, Any]]:
    """A name, and the literal arguments behind it.

    Raises:
      ValueError: for what is no name with named literal arguments.

    Example:
      >>> split("cosine"), split("mine.py:focal( gamma=2 )")
      (('cosine', {}), ('mine.py:focal', {'gamma': 2}))
    """
    name, bracket, rest = text.strip().partition("(")
    try:
        call = ast.parse(f"f({rest}" if bracket else "f()", mode="eval").body
        if not (name.strip() and isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            raise ValueError("no call")
        if call.args or any(keyword.arg is None for keyword in call.keywords):
            raise ValueError("arguments without names")
        return name.strip(), {str(k.arg): literal(ast.literal_eval(k.value)) for k in call.keywords}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"{text!r} is no name of a part, as `step`, nor one with named arguments, as `step(factor=0.2)`."
        ) from error


def join(name: str, arguments: Mapping[str, Any]) -> str:
    """The text that `split` takes apart."""
    return f"{name}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})" if arguments else name


def literal(value: Any) -> Any:
    """A value that text can hold: None, a truth value, a finite number, a text, or tuples and mappings of such.

    Lists become tuples, and NumPy's numbers Python's.

    Raises:
      TypeError: for any other.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, str)):
        return int(value) if isinstance(value, int) else str(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, (list, tuple)):
        return tuple(map(literal, value))
    if isinstance(value, Mapping):
        return {literal(key): literal(item) for key, item in value.items()}
    raise TypeError(f"{value!r} is no literal")


def nearest(name: str, valid: Sequence[str], path: str = "") -> str:
    """A sentence that offers the valid name closest to a mistaken one, or lists them all."""
    close = nearest_names(name, valid, most=1)
    return f" Did you mean `{path}{close[0]}`?" if close else f" Valid: {', '.join(path + v for v in valid)}."


def reference(part: Callable[..., Any]) -> tuple[str, dict[str, Any]]:
    """The name by which `find` finds an object, and the literal arguments that `functools.partial` has bound to it.

    Raises:
      TypeError: for what has no name at the top of a file, or arguments that are no literals.

    Example:
      >>> import optax
      >>> reference(functools.partial(optax.lion, b1=0.95))
      ('optax:lion', {'b1': 0.95})
    """
    bound: dict[str, Any] = {}
    while isinstance(part, functools.partial):
        if part.args:
            raise TypeError(f"`{part}` binds arguments by their order; bind them by name, `partial(f, x=1)`.")
        bound, part = {**part.keywords, **bound}, part.func
    place, attribute = getattr(part, "__module__", None), getattr(part, "__qualname__", None)
    if not isinstance(place, str) or not isinstance(attribute, str):
        raise TypeError(f"{part!r} has no name; write a function at the top of the experiment file that calls it.")
    if "<" in attribute:
        raise TypeError(
            f"{attribute} is a function inside another, or a lambda, and so has no name of its own; write it at the "
            "top of the experiment file with `def`, and bind its arguments by `functools.partial`."
        )
    try:
        arguments = {key: literal(value) for key, value in bound.items()}
    except TypeError as error:
        raise TypeError(
            f"an argument of `{attribute}` {error}, as a number, a text or a tuple is; write a function at the top of "
            f"the experiment file that calls `{attribute}` with it, and name that."
        ) from error
    if place.startswith(EXPERIMENT):
        return f":{attribute}", arguments
    if place.startswith("cnn_jax.training."):
        return attribute, arguments  # ours are called as their functions are
    parts = place.split(".")
    public = [".".join(parts[:n]) for n in range(1, len(parts) + 1) if not any(p[:1] == "_" for p in parts[:n])]
    for module in public:  # optax._src.alias.lion is optax.lion
        if _attribute(importlib.import_module(module), attribute) is part:
            return f"{module}:{attribute}", arguments
    raise TypeError(
        f"`{attribute}` of `{place}` cannot be found again by its name; import it from a file beside the experiment, "
        "or write it at the top of the experiment file."
    )


def canonical(name: str, experiment: str | None = None) -> str:
    """The one name of a part: a file's is its module's, and the experiment file's own is empty.

    Args:
      experiment: the experiment file's name.

    Example:
      >>> canonical("folder/mine.py:lion"), canonical("e.py:lion", "e.py"), canonical("sgd")
      ('folder.mine:lion', ':lion', 'sgd')
    """
    place, colon, attribute = name.rpartition(":")
    if place.endswith(".py"):
        place = "" if place == experiment else place.removesuffix(".py").replace("/", ".")
    return f"{place}{colon}{attribute}"


def find(name: str, ours: Mapping[str, Callable[..., Any]], what: str, experiment: str | None = None) -> Any:
    """The part of a canonical name.

    Args:
      ours: those that have a name without a colon.
      what: the kind of part, for the messages.
      experiment: the module of the experiment file; None where the configuration comes from none.

    Raises:
      ValueError: when there is none: the nearest names are given.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon:
        if name not in ours:
            raise ValueError(
                f"there is no {what} {name!r}.{nearest(name, [*ours])} One of a package or of your own is written "
                f"`package.module:{name}`, `file.py:{name}`, or `:{name}` where the experiment file defines it."
            )
        return ours[name]
    if not place and experiment is None:
        raise ValueError(
            f"{name!r} is a function of an experiment file, and here is none: train from that file. (A command that "
            "only reads a run does not run its code.)"
        )
    try:
        module = importlib.import_module(place) if place else sys.modules[str(experiment)]
    except Exception as error:
        raise ValueError(f"{name!r}: `{place}` cannot be imported: {error}.") from error
    part = _attribute(module, attribute)
    if not callable(part):
        known = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
        place = place or f"the experiment file `{Path(str(module.__file__)).name}`"
        raise ValueError(f"{place} has no function {attribute!r}.{nearest(attribute, known)}")
    return part


def _attribute(value: Any, attribute: str) -> Any:
    for step in attribute.split("."):
        value = getattr(value, step, None)
    return value


def parameters(part: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Of a part, those that can be given by name."""
    return {
        name: p
        for name, p in inspect.signature(part).parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }


def bind(
    part: Callable[..., Any], arguments: Mapping[str, Any], what: str, /, *leading: str, **offered: Any
) -> Callable[..., Any]:
    """A part with its arguments, and with what its signature asks for by name of what is offered.

    Args:
      arguments: the user's.
      what: its name, for the messages.
      leading: what its first parameters are for, which are given at the call.

    Raises:
      ValueError: for an argument that it does not take, or that is offered, and for one that it needs.
    """
    takes = dict([*parameters(part).items()][len(leading) :])
    several = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(part).parameters.values())
    free = [name for name in takes if name not in offered]
    for key in arguments:
        if key in offered and key in takes:
            raise ValueError(f"{what} is given its `{key}` by the trainer, so it cannot be an argument; leave it out.")
        if key not in takes and not several:
            takes_none = f" It takes no arguments{' of yours' if takes else ''}."
            raise ValueError(f"{what} takes no `{key}`.{nearest(key, free) if free else takes_none}")
        if key in takes and not _is_alike(arguments[key], takes[key].default):
            raise ValueError(f"`{key}` of {what} is {arguments[key]!r}: give a value as its {takes[key].default!r} is.")
    given = {name: value for name, value in offered.items() if name in takes} | dict(arguments)
    missing = [name for name, p in takes.items() if p.default is p.empty and name not in given]
    if missing:
        raise ValueError(
            f"{what} needs `{missing[0]}`: give it as an argument, or, if it is no literal, write a function at the "
            "top of the experiment file that gives it, and name that."
        )
    return functools.partial(part, **given)


def call(part: Callable[..., Any], arguments: Mapping[str, Any], what: str, /, **offered: Any) -> Any:
    """What a part returns, called so.

    Raises:
      ValueError: as `bind`, and when the part refuses its arguments.
    """
    bound = bind(part, arguments, what, **offered)
    try:
        return bound()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: {error}") from error


def _is_alike(value: Any, default: Any) -> bool:
    """Whether a value is of the default's kind: a truth value, or a number, for which there may be none."""
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, (int, float)):
        return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
    return True
