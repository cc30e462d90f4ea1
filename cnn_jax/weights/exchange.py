"""Reading and writing a network's variables: every name and shape checked, nothing left over in silence."""

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array

from cnn_jax.models import MODELS, Network, abstract_variables, initialize
from cnn_jax.models.alexnet import AlexNet
from cnn_jax.models.googlenet import GoogLeNet
from cnn_jax.models.vgg import VGG
from cnn_jax.weights.files import Tensors, WeightsError, read_torch, write_safetensors
from cnn_jax.weights.keras import read_keras_variables
from cnn_jax.weights.timm_names import timm_name
from cnn_jax.weights.torch_names import torch_name

ParameterPath = tuple[str, ...]
Flat = dict[ParameterPath, Any]
Names = dict[ParameterPath, str]

# The maps that the first dense layer flattens; PyTorch orders them (channel, row, column), we (row, column, channel).
_FLATTENED: dict[tuple[type[Network], str], int] = {
    (VGG, "fc6"): 7,
    (AlexNet, "fc6"): 6,
    (GoogLeNet, "aux1_fc"): 4,
    (GoogLeNet, "aux2_fc"): 4,
}
# The layer that sees the image, whose kernel tells the channels.
_FIRST = ("stem_conv", "conv1", "conv1_1", "conv1a", "c1", "c1_a")
# Counters of steps, and auxiliary classifiers that the model does not have.
_IGNORED = re.compile(r"num_batches_tracked$|^aux\d\.|^AuxLogits\.")


def load_weights(
    path: Path | str, model: Network, *, head: bool = True, key: Array | None = None, channels: int | None = None
) -> dict[str, Any]:
    """Reads a network's variables from a file.

    Args:
      path: `.safetensors`, `.pth` or `.pt` with torchvision's or timm's names, or Keras's `.h5` or `.weights.h5`.
      model: from `create_model`; for Keras's ResNet50V2 and InceptionV3 with the option `variant="keras"`.
      head: False leaves the file's classifier and auxiliary classifiers out and draws them afresh.
      key: for what is drawn; by default `jax.random.key(0)`.
      channels: of the images; by default as published.

    Returns:
      Variables by collection. Auxiliary classifiers in the file that the model does not have are passed over. A
      momentum needs no translation (PyTorch's 0.1 is our 0.9); PyTorch's running variance is the unbiased one.
      Keras's convolution biases before a BatchNorm are folded into its running mean, its slightly larger epsilon into
      the running variance, its BGR order of channels into the first kernel, and a missing scale is one.

    Raises:
      WeightsError: for a file that cannot be read, or whose names and shapes are not the model's; it lists what is
        missing, left over and mis-shaped.
    """
    shape = _image_shape(model, channels)
    expected: Flat = flatten_dict(abstract_variables(model, shape))
    wanted = {p: leaf for p, leaf in expected.items() if head or not _is_head(p)}
    read = read_keras_variables if str(path).endswith(".h5") else _read_torch_variables
    found, names, left_over = read(Path(path), model, wanted)
    _compare(path, wanted, found, names, left_over)
    variables = {p: jax.numpy.asarray(found[p].astype(leaf.dtype)) for p, leaf in wanted.items()}
    if not head:
        key = jax.random.key(0) if key is None else key
        drawn = flatten_dict(initialize(model, {"params": key, "dropout": key}, shape))
        variables |= {p: drawn[p] for p in expected if _is_head(p)}
    return unflatten_dict(variables)


def save_weights(path: Path | str, model: Network, variables: dict[str, Any]) -> None:
    """Writes a network's variables as `.safetensors` under torchvision's names, for its `load_state_dict`.

    Args:
      path: of the file; an older one is replaced in one piece.
      model: whose family decides the names; families that torchvision does not have keep ours, joined by dots.
      variables: "params", and "batch_stats" where there are any.

    Raises:
      WeightsError: when the variables are not the model's.
    """
    kernels = {p: leaf for p, leaf in flatten_dict(variables["params"]).items() if leaf.ndim == 4}
    channels = next((leaf.shape[2] for p, leaf in kernels.items() if p[0] in _FIRST), None)
    expected = flatten_dict(abstract_variables(model, _image_shape(model, channels)))
    flat = {p: np.asarray(leaf) for p, leaf in flatten_dict(dict(variables)).items()}
    names = {p: torch_name(model, p) for p in expected}
    _compare(path, expected, flat, names, [".".join(p) for p in flat.keys() - expected.keys()])
    write_safetensors(path, {names[p]: _to_torch(model, p, leaf) for p, leaf in flat.items()})


def _image_shape(model: Network, channels: int | None) -> tuple[int, int, int]:
    """A size that the model takes; its parameters depend on the channels only."""
    entry = next(e for e in MODELS.values() if e.family is type(model))
    height, width, published = entry.image_shape
    return height, width, channels or published


def _is_head(path: ParameterPath) -> bool:
    return path[1] == "head" or path[1].startswith("aux")


def _read_torch_variables(path: Path, model: Network, wanted: Flat) -> tuple[Flat, Names, list[str]]:
    tensors: Tensors = read_torch(path)
    # torchvision's names, or timm's: those of which the file has more.
    name_of = max((torch_name, timm_name), key=lambda rule: sum(rule(model, p) in tensors for p in wanted))
    names = {p: name_of(model, p) for p in wanted}
    found = {p: _from_torch(model, p, tensors[name], wanted[p].ndim) for p, name in names.items() if name in tensors}
    used = set(names.values())
    classifier = () if ("params", "head", "kernel") in wanted else ("kernel", "bias")
    passed_over = {name_of(model, ("params", "head", leaf)) for leaf in classifier}
    left_over = [n for n in tensors if n not in used and n not in passed_over and not _IGNORED.search(n)]
    return found, names, left_over


def _from_torch(model: Network, path: ParameterPath, tensor: np.ndarray, ndim: int) -> np.ndarray:
    """OIHW to HWIO, [out, in] to [in, out]; a convolution that is a dense layer of ours (timm's VGG) is flattened."""
    if path[-1] != "kernel":
        return tensor
    if tensor.ndim == 4 and ndim == 2:
        tensor = tensor.reshape(len(tensor), -1)
    if tensor.ndim == 4:
        return tensor.transpose(2, 3, 1, 0)
    side = _FLATTENED.get((type(model), path[1]))
    if side and tensor.shape[1] % side**2 == 0:
        out, into = tensor.shape
        tensor = tensor.reshape(out, into // side**2, side, side).transpose(0, 2, 3, 1).reshape(out, into)
    return tensor.T


def _to_torch(model: Network, path: ParameterPath, array: np.ndarray) -> np.ndarray:
    """HWIO to OIHW, [in, out] to [out, in]."""
    if path[-1] != "kernel":
        return array
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    side = _FLATTENED.get((type(model), path[1]))
    tensor = array.T
    if side:
        out, into = tensor.shape
        tensor = tensor.reshape(out, side, side, into // side**2).transpose(0, 3, 1, 2).reshape(out, into)
    return tensor


def _compare(
    path: Path | str, wanted: Flat, found: Flat, names: dict[ParameterPath, str], left_over: list[str]
) -> None:
    """Raises WeightsError unless every name is there, no other, and every shape fits."""
    missing = [names.get(p, ".".join(p)) for p in wanted if p not in found]
    misfits = [p for p, leaf in wanted.items() if p in found and tuple(found[p].shape) != tuple(leaf.shape)]
    shapes = [
        f"{names[p]} is {'×'.join(map(str, found[p].shape))}, not {'×'.join(map(str, wanted[p].shape))}"
        for p in misfits
    ]
    problems = {"missing": missing, "left over": sorted(left_over), "of another shape": shapes}
    lines = [f"  {len(rows)} {kind}: {_some(rows)}" for kind, rows in problems.items() if rows]
    if lines:
        if not missing and not left_over and all(_is_head(p) for p in misfits):
            lines.append(
                "  Only the classifier differs: leave it out (`--no-head`, or `head=False`), or take as many classes."
            )
        raise WeightsError(f"`{path}` does not hold this network's weights.\n" + "\n".join(lines))


def _some(rows: list[str]) -> str:
    return ", ".join(rows[:8]) + (f" and {len(rows) - 8} more" if len(rows) > 8 else "")
