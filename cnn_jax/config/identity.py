"""One name for one experiment, version 2.

The identity of an experiment is a hash over all that can change its result, and over nothing else: the keys whose
values differ from the frozen tables of `reference`, the digest of one's own code, the content of the data set and of
the starting weights. Equal values are equal, however they were written: -0.0 and 0, "pad_crop(4)" and
"pad_crop(padding=4)", None and the value that it stands for.
"""

import ast
import hashlib
import json
from collections.abc import Mapping
from typing import Any, get_args

from cnn_jax.config.flat import flatten, from_flat
from cnn_jax.config.parts import own_name
from cnn_jax.config.reference import (
    CALLS,
    MARKS,
    NAMES,
    OPTIMIZERS,
    PAPERS,
    PARTS,
    REFERENCE,
    REQUIRED,
    STORED,
    UNSET,
    Same,
)
from cnn_jax.config.sections import Config, Source
from cnn_jax.names import join, split

VERSION = 2


def identity(
    config: Config,
    *,
    code: str | None = None,
    data: Mapping[str, str] | None = None,
    weights: str | None = None,
    parent: str | None = None,
) -> str:
    """Sixteen hexadecimal digits that name the experiment: equal exactly when nothing that changes a result differs.

    Args:
      config: with every value of its type (`check_types`).
      code: digest of one's own code, as `Config.code` holds it; None where there is none.
      data: what the data set holds, as `cnn_jax.data.fingerprint` gives it.
      weights: what the file of `model.weights` holds, as `cnn_jax.weights.weights_digest` gives it; None, where only
        the checksum of the file is known, takes that.
      parent: the identity and the step of the run whose state this one goes on from.

    Returns:
      The first digits of the SHA-256 of canonical JSON: {version, keys, marks, code, data, weights, parent}, without
      those that hold nothing.
    """
    keys = counted(config)
    marks = {key: mark for key, (mark, used) in MARKS.items() if used(keys)}
    weights = weights or (config.model.weights_sha256 if config.model.weights is not None else None)
    parts = {"keys": keys, "marks": marks, "code": code, "data": dict(data or {})}
    parts |= {"weights": weights, "parent": parent}
    content = {"version": VERSION} | {k: v for k, v in parts.items() if v or k == "keys"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def counted(config: Config) -> dict[str, Any]:
    """The keys that count in the identity, under their lasting names, with their values as JSON keeps them."""
    values, reference = _settled(config)
    return {key: value for key, value in values.items() if value != reference.get(key)}


def from_stored(flat: Mapping[str, Any]) -> Config:
    """The configuration that was stored with a run; a key that was not there yet has the value that means "as before".

    Raises:
      ConfigError: as `from_flat`.
    """
    before = {key: value for key, value in REFERENCE.items() if key not in UNSET}
    before |= {key: before[key][0] for key in PARTS}
    # There was a key for every option of any network, None for the published value.
    unset = {key for key in flat if key.startswith("model.options.")} if "model.options.remat" in flat else set()
    unset |= STORED.keys()
    stored = {STORED.get(key) or key: value for key, value in flat.items() if key not in unset or value is not None}
    drops = {n: stored.pop(f"optim.step_{n}") for n in ("fractions", "factor") if f"optim.step_{n}" in stored}
    if stored.get("optim.schedule") == "step":
        usual = PARTS["optim.schedule"]["step"]
        drops = {name: tuple(v) if isinstance(v, list) else v for name, v in drops.items()}
        stored["optim.schedule"] = join("step", {name: v for name, v in drops.items() if v != usual[name]})
    missing = {key for key in flatten(Config()) if key not in stored}
    return from_flat({key: before[key] for key in before if key in missing} | stored)


def key_differences(there: Config, here: Config) -> dict[str, list[Any]]:
    """What tells two experiments apart, `{key: [there, here]}`, under the names that are written today."""
    sides = [(counted(config), _settled(config)[0]) for config in (there, here)]
    (left, all_left), (right, all_right) = sides
    today = {lasting: name for name, lasting in NAMES.items()}
    return {
        today.get(key, key): [_shown(all_left.get(key)), _shown(all_right.get(key))]
        for key in [*left, *(k for k in right if k not in left)]
        if left.get(key) != right.get(key)
    }


def _settled(config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that may count, by lasting name, every None that stands for a value replaced by it; and the reference."""
    flat = flatten(config, identity_only=True)
    values = {NAMES.get(key, key): value for key, value in flat.items()}
    options = {f"model.options.{k}": v for k, v in PAPERS.get(str(config.model.name), {}).items()}
    arguments = {f"optim.arguments.{k}": v for k, v in OPTIMIZERS.get(str(config.optim.name), {}).items()}
    values = arguments | values
    for key, ours in PARTS.items():
        name, given = split(values[key])
        values[key] = _part(name, given, ours.get(name, {}))
    for key in ("data.augment", "data.mix", "data.eval_augment", "train.metrics"):
        values[key] = [canonical_call(call) for call in values[key]]
    if values["data.eval_views"] is not None:
        values["data.eval_views"] = canonical_call(values["data.eval_views"])
    for source in get_args(Source):
        if values[f"seeds.{source}"] == values["seed"]:
            values[f"seeds.{source}"] = None  # which means the same
    if values["train.steps"] is not None:
        del values["train.epochs"]  # not used
    reference = REFERENCE | options | arguments
    values = options | values | {key: reference[key] for key in UNSET if values.get(key, 0) is None}
    return {k: _plain(v) for k, v in values.items()}, {k: _plain(v) for k, v in reference.items()}


def canonical_call(text: str) -> Any:
    """A call written as text, as [name, {parameter: value}] with the arguments that differ from what is taken anyway.

    What is no call with literal arguments stays the text that it is: it is refused elsewhere.

    Example:
      >>> canonical_call("pad_crop( 4, fill=0)"), canonical_call("resize(28, width=28.0)")
      (['pad_crop', {'padding': 4}], ['resize', {'height': 28}])
    """
    if own_name(text) is not None:
        return _part(*split(text), {})
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call):
            return text.strip()
        name = ast.unparse(call.func)
        positional = [ast.literal_eval(value) for value in call.args]
        named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return text.strip()
    names = [*CALLS.get(name, ()), *map(str, range(len(positional)))]
    return _part(name, dict(zip(names, positional, strict=False)) | named, CALLS.get(name, {}))


def _part(name: str, arguments: Mapping[str, Any], reference: Mapping[str, Any]) -> list[Any]:
    """A named part with the arguments that differ from the reference."""
    kept = {}
    for key, value in arguments.items():
        usual = reference.get(key, REQUIRED)
        if isinstance(usual, Same):
            usual = arguments.get(usual) if value is not None else None
        if usual is REQUIRED or _plain(value) != _plain(usual):
            kept[key] = _plain(value)
    return [name, kept]


def _plain(value: Any) -> Any:
    """As JSON keeps it, equal values alike: -0.0, 0.0, 0 and False are 0, tuples are lists."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (bool, float)) and value == value // 1:
        return int(value)
    return value


def _shown(value: Any) -> Any:
    """Calls as they are written."""
    match value:
        case [str(name), {**arguments}]:
            return f"{name}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})"
        case list():
            return [_shown(item) for item in value]
    return value
