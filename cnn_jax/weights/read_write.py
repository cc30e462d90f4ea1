"""Reading and writing a network's variables: every name and shape checked, nothing left over in silence."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array

from cnn_jax.models import MODELS, Network, abstract_variables, initialize
from cnn_jax.paths import local_path
from cnn_jax.weights.conventions import InputConvention
from cnn_jax.weights.description import Description, describe, read_description, to_metadata
from cnn_jax.weights.files import WeightsError, read_torch, write_safetensors
from cnn_jax.weights.keras import read_keras_variables
from cnn_jax.weights.layout import from_torch, shape_of, to_torch
from cnn_jax.weights.mismatch import FIRST, explain
from cnn_jax.weights.prefix import without_prefix
from cnn_jax.weights.timm_config import timm_description
from cnn_jax.weights.timm_names import timm_name
from cnn_jax.weights.torch_names import torch_name

ParameterPath = tuple[str, ...]
Flat = dict[ParameterPath, Any]
Names = dict[ParameterPath, str]

_HEAD = ("head", "head_hidden")
# Counters of steps, and auxiliary classifiers that the model does not have.
_IGNORED = re.compile(r"num_batches_tracked$|^aux\d\.|^AuxLogits\.")


def load_weights(
    path: Path | str,
    model: nn.Module,
    *,
    head: bool = True,
    key: Array | None = None,
    channels: int | None = None,
    image_shape: tuple[int, int, int] | None = None,
) -> dict[str, Any]:
    """Reads a network's variables from a file.

    Args:
      path: `.safetensors`, `.pth` or `.pt` with torchvision's or timm's names, or Keras's `.h5` or `.weights.h5`.
      model: from `create_model`; for Keras's ResNet50V2 and InceptionV3 with the option `variant="keras"`.
      head: False leaves the file's classifier and auxiliary classifiers out and draws them afresh.
      key: for what is drawn; by default `jax.random.key(0)`.
      channels: of the images; by default as published.
      image_shape: (H, W, C) of the images, for a network that is not from `create_model`.

    Returns:
      Variables by collection. Auxiliary classifiers in the file that the model does not have are passed over. A
      momentum needs no translation (PyTorch's 0.1 is our 0.9); PyTorch's running variance is the unbiased one.
      Keras's convolution biases before a BatchNorm are folded into its running mean, its slightly larger epsilon into
      the running variance, its BGR order of channels into the first kernel, and a missing scale is one.

    Raises:
      WeightsError: for a file that cannot be read, whose names and shapes are not the model's (it lists what is
        missing, left over and mis-shaped), that says that it is for another network, or that holds other things than
        finite floating-point numbers.
      TypeError: when `model` is no network.
    """
    return read_weights(path, model, head=head, key=key, channels=channels, image_shape=image_shape).variables


class Taken(NamedTuple):
    """The variables that were read of a file, and what became of the rest, by the names of the file's arrays."""

    variables: dict[str, Any]
    taken: list[str]
    left: list[str]
    drawn: list[str]
    """Arrays of the model, by our names."""


def read_weights(
    path: Path | str,
    model: nn.Module,
    *,
    head: bool = True,
    key: Array | None = None,
    channels: int | None = None,
    image_shape: tuple[int, int, int] | None = None,
) -> Taken:
    """As `load_weights`, with what was taken of the file, what was left, and what was drawn."""
    path = local_path(path, "FILE", utf8=False)
    shape = _image_shape(model, channels, image_shape)
    expected: Flat = flatten_dict(abstract_variables(model, shape))
    wanted = {p: leaf for p, leaf in expected.items() if head or not _is_head(p)}
    found, names, left_over, passed_over, in_file = _read(path, model, wanted)
    ours = describe(model)
    problems = _another_network(read_description(path), ours) or _another_network(timm_description(path), ours)
    problems = problems or explain(
        wanted, in_file, names, left_over, torch=isinstance(model, Network) and not str(path).endswith(".h5")
    )
    if problems:
        raise WeightsError(f"`{path}` does not hold this network's weights.\n" + "\n".join(problems))
    variables = {p: _numbers(path, names[p], found[p], p[-1], leaf.dtype) for p, leaf in wanted.items()}
    if not head:
        key = jax.random.key(0) if key is None else key
        drawn = flatten_dict(initialize(model, {"params": key, "dropout": key}, shape))
        variables |= {p: drawn[p] for p in expected if _is_head(p)}
    left_out = [".".join(p[1:]) for p in expected if p not in wanted]
    return Taken(unflatten_dict(variables), [names[p] for p in wanted], passed_over, left_out)


def _another_network(stated: Description | None, ours: Description | None) -> list[str]:
    if stated is None or ours is None or stated.same_network(ours):
        return []
    return [f"  It is for {stated}, and this is {ours}: even where names and shapes agree, they compute other things."]


def _numbers(path: Path | str, name: str, array: np.ndarray, kind: str, dtype: Any) -> Array:
    """The array in the model's precision, refused where no training can have left such numbers."""
    if array.dtype.kind != "f":
        raise WeightsError(f"`{path}`: {name} holds {array.dtype} numbers; weights are floating-point, not quantised.")
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if not np.isfinite(cast).all():
        raise WeightsError(f"`{path}`: {name} holds numbers that are not finite; the file is damaged, or its training.")
    if kind == "var" and (cast < 0).any():
        raise WeightsError(f"`{path}`: {name} holds a negative variance; the file is damaged.")
    return jax.numpy.asarray(cast)


def save_weights(
    path: Path | str,
    model: nn.Module,
    variables: Mapping[str, Any],
    *,
    class_names: Sequence[str] = (),
    images: InputConvention | None = None,
    image_shape: tuple[int, int, int] | None = None,
) -> None:
    """Writes a network's variables as `.safetensors` under torchvision's names, for its `load_state_dict`.

    A Flax module of one's own keeps its names, and its arrays as they are.

    The file says for which network, options and number of classes it is, and `load_weights` compares.

    Args:
      path: of the file; an older one is replaced in one piece.
      model: whose family decides the names; families that torchvision does not have keep ours, joined by dots.
      variables: "params", and "batch_stats" where there are any.
      class_names, images: what the outputs mean, and how images were prepared, to be written as well.
      image_shape: as `load_weights`.

    Raises:
      WeightsError: when the variables are not the model's.
      TypeError: when `model` is no network.
    """
    kernels = {p: leaf for p, leaf in flatten_dict(variables["params"]).items() if leaf.ndim == 4}
    channels = next((leaf.shape[2] for p, leaf in kernels.items() if p[0] in FIRST), None)
    expected = flatten_dict(abstract_variables(model, _image_shape(model, channels, image_shape)))
    flat = {p: np.asarray(leaf) for p, leaf in flatten_dict(dict(variables)).items()}
    names = {p: torch_name(model, p) for p in expected}
    shapes = {p: leaf.shape for p, leaf in flat.items()}
    left_over = [".".join(p) for p in flat.keys() - expected.keys()]
    if problems := explain(expected, shapes, names, left_over, torch=False):
        raise WeightsError("these are not this network's variables.\n" + "\n".join(problems))
    description = describe(model)
    if description is not None:
        stated = images.as_dict() if images else {}
        description = dataclasses.replace(description, class_names=tuple(class_names), input=stated)
    tensors = {names[p]: to_torch(model, p, leaf) for p, leaf in flat.items()}
    write_safetensors(path, tensors, to_metadata(description) if description else None)


def _image_shape(model: nn.Module, channels: int | None, given: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """A size that the model takes; the parameters of ours depend on the channels only."""
    entry = next((e for e in MODELS.values() if e.family is type(model)), None)
    if entry is None and given is not None and isinstance(model, nn.Module):
        return given
    if entry is None:
        raise TypeError(
            f"`model` must be a network that create_model makes, got {model!r}; write "
            "`create_model(NAME, num_classes=…)` in its place, or, for a Flax module of your own, give `image_shape`."
        )
    channels = channels or (None if given is None else given[-1])
    height, width, published = entry.image_shape
    return height, width, channels or published


def _is_head(path: ParameterPath) -> bool:
    return path[1] in _HEAD or path[1].startswith("aux")


class _Found(NamedTuple):
    """What a file holds for a model: arrays as ours, and their names and shapes there; beside them, other names."""

    arrays: Flat
    names: Names
    left_over: list[str]
    passed_over: list[str]
    shapes: dict[ParameterPath, tuple[int, ...]]


def _read(path: Path, model: nn.Module, wanted: Flat) -> _Found:
    try:
        if not str(path).endswith(".h5"):
            return _read_torch_variables(path, model, wanted)
        arrays, names, left_over = read_keras_variables(path, model, wanted)
    except WeightsError:
        raise
    except (IndexError, ValueError, TypeError) as error:  # tensors of fewer axes than such a layer has
        raise WeightsError(f"`{path}` holds tensors that no such network has ({error}).") from error
    return _Found(arrays, names, left_over, [], {p: array.shape for p, array in arrays.items()})


def _read_torch_variables(path: Path, model: nn.Module, wanted: Flat) -> _Found:
    tensors = read_torch(path)
    # torchvision's names, or timm's: those of which the file has more, whatever stands before all of them.
    rules = [{p: rule(model, p) for p in wanted} for rule in (torch_name, timm_name)]
    bare = [without_prefix(tensors, set(rule.values())) for rule in rules]
    best = max((0, 1), key=lambda i: sum(name in bare[i] for name in rules[i].values()))
    names, tensors, name_of = rules[best], bare[best], (torch_name, timm_name)[best]
    present = {p: tensors[name] for p, name in names.items() if name in tensors}
    arrays = {p: from_torch(model, p, tensor, wanted[p].ndim) for p, tensor in present.items()}
    used = set(names.values())
    layers = () if ("params", "head", "kernel") in wanted else _HEAD
    classifier = {name_of(model, ("params", layer, leaf)) for layer in layers for leaf in ("kernel", "bias")}
    others = {n: n in classifier or _IGNORED.search(n) is not None for n in tensors if n not in used}
    left_over, passed_over = ([n for n, is_so in others.items() if is_so == passed] for passed in (False, True))
    shapes = {p: shape_of(tensor, wanted[p].ndim) for p, tensor in present.items()}
    return _Found(arrays, names, left_over, passed_over, shapes)
