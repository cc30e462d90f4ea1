"""Parts by name: how a name becomes a function, what the function is given, and how an object becomes a name.

A *part* is a plain callable: a network, the constructor of an optimiser, a schedule, a loss, a metric, a gradient
rule, an augmentation, a mix, a data set. The configuration holds its name, and its arguments as literals:

    sgd                             one of ours
    optax:lion, my_package.x:lion   an attribute of a module
    mine.py:lion                    of a file below the experiment's folder
    :lion                           of the experiment file itself

The arguments of the network stand under `model.options`, those of the optimiser under `optim.arguments`; the others
bear theirs behind the name, `step(factor=0.2)`, `:focal(gamma=2)`.

A part is called with these arguments, and with what its signature asks for by name (`cnn_jax.signatures`):

    part           is called as                      offered by name
    network        a flax.linen.Module's class, or   num_classes, dtype, remat
                   a function that makes one, to
                   be called (images, train=…)
    optimiser      constructor of an Optax           learning_rate (a schedule; a number where its type says so, or as
                   transformation                    max_learning_rate), weight_decay, mask or weight_decay_mask,
                                                     warmup_steps, muon_weight_dimension_numbers, seed; its update may
                                                     ask for value, grad, value_fn, obj_fn
    schedule       part of the peak by `fraction`    learning_rate, peak, peak_value, init_value, value (the peak);
                   of the run after the warm-up;     steps, decay_steps, transition_steps (those after the warm-up);
                   or rate by `step`; else a         total_steps, first_step (the first after the warm-up);
                   constructor of such a function    warmup_steps (then it warms up itself, and its steps are all)
    loss           (logits [b, k], targets) -> [b]   label_smoothing, num_classes
    metric         (logits [b, k], labels) -> [b]    num_classes
    gradient rule  (gradient, state, batch) ->       nothing more
                   (gradients, forward)
    augmentation   (image [H, W, C]) -> image        key (then it is random), interpolation
    data set       (split) -> Images, or None        seed, root
    mix            (key, images, targets [b, k]) ->  nothing more
                   (images, targets)

Images are on the scale 0..255. Targets are int [b], or float [b, k] after mixing. A rule's `gradient(params)` is that
of the mean over the global batch; see `cnn_jax.training.rules`.
"""

import ast
import functools
import importlib
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
    if place.startswith(("cnn_jax.training.", "cnn_jax.data.augmentation.")):
        return attribute, arguments  # ours are called as their functions are
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
        raise ValueError(f"{name!r} is a function of an experiment file, and here is none: train from that file.")
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
