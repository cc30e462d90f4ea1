"""Variables out of a Keras file, with Keras's peculiarities folded into the numbers."""

from pathlib import Path
from typing import Any

import numpy as np
from flax import linen as nn

from cnn_jax.models import MODELS
from cnn_jax.weights.files import WeightsError, read_keras
from cnn_jax.weights.keras_layers import KERAS_MODELS, keras_layer

# Keras's ResNets add 1.001e-5 to the variance, we 1e-5: the difference goes into the running variance.
_EPSILON = 1.001e-5 - 1e-5


def read_keras_variables(
    path: Path, model: nn.Module, wanted: dict[tuple[str, ...], Any]
) -> tuple[dict[tuple[str, ...], np.ndarray], dict[tuple[str, ...], str], list[str]]:
    """What a Keras file holds for a model.

    Returns:
      The arrays found, the name of each in the file, and the layers left over.
    """
    name = _keras_name(model)
    layers = read_keras(path)
    found, names = {}, {}
    # A classifier that is left out is not left over.
    used = {"predictions"} if ("params", "head", "kernel") not in wanted else set()
    for target in wanted:
        layer = keras_layer(name, target[1:-1], layers)
        names[target] = f"{layer}/{target[-1]}"
        if layer in layers:
            used.add(layer)
            array = _leaf(layers[layer], target[-1], layer)
            if array is not None:
                found[target] = _fold(name, target, array, layer, layers)
    return found, names, sorted(set(layers) - used)


def _leaf(tensors: list[np.ndarray], leaf: str, layer: str) -> np.ndarray | None:
    """One tensor of a layer, whose order is kernel, bias; or scale (where there is one), bias, mean, variance."""
    if leaf == "kernel" or (leaf == "bias" and len(tensors) == 2):
        return tensors[("kernel", "bias").index(leaf)]
    if len(tensors) not in (3, 4):
        return None
    if leaf == "scale":
        return tensors[0] if len(tensors) == 4 else np.ones_like(tensors[0])
    return tensors[{"bias": -3, "mean": -2, "var": -1}[leaf]]


def _fold(
    name: str, target: tuple[str, ...], array: np.ndarray, layer: str, layers: dict[str, list[np.ndarray]]
) -> np.ndarray:
    if name.startswith("resnet") and target[-1] == "var":
        return array + np.float32(_EPSILON)
    if name == "resnet50_v1" and target[-1] == "mean":
        before = layers.get(layer.replace("_bn", "_conv"), [])
        return array - before[1] if len(before) == 2 else array
    # Caffe's order of channels is blue, green, red.
    caffe = name in ("vgg16", "vgg19", "resnet50_v1")
    return array[:, :, ::-1] if caffe and target[1:] in (("conv1_1", "kernel"), ("stem_conv", "kernel")) else array


def _keras_name(model: nn.Module) -> str:
    for name in KERAS_MODELS:
        entry = MODELS[name]
        layers = {**{k: getattr(entry.family, k) for k in entry.family.structure}, **entry.constructor.keywords}
        same = type(model) is entry.family and all(getattr(model, k) == v for k, v in layers.items())
        if same and model.norm == entry.options["norm"].default:
            if "variant" in entry.options and getattr(model, "variant", None) != "keras":
                raise WeightsError(
                    f"Keras's {name} departs from the paper's; create it with the option variant='keras'."
                )
            return name
    raise WeightsError(
        f"no Keras network has the layers of this one; Keras files are read for {', '.join(KERAS_MODELS)}."
    )
