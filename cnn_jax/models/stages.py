"""Stages of a network by the names of its features: which layers lead to `stem`, `stage1`, … and to the logits."""

import re
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend.core import Var

from cnn_jax.models.initialize import abstract_variables
from cnn_jax.models.network import features


def layers_of_features(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, list[str]]:
    """The layers of a network by the first of its named features, in their order, that depends on them.

    Found in the traced program, so that it holds for every network that names features, as `features` reads them. A
    feature that only pools another has no layers; auxiliary classifiers, which training alone has, are in none.

    Args:
      image_shape: (H, W, C).

    Example:
      >>> from cnn_jax.models import create_model
      >>> layers_of_features(create_model("lenet5"), (28, 28, 1))
      {'stem': ['c1'], 'stage1': [], 'stage2': ['c3'], 'pool': [], 'logits': ['c5', 'f6', 'head']}
    """
    variables = abstract_variables(model, image_shape)
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    order: list[str] = []

    def named(variables: Mapping[str, Any], images: Any) -> dict[str, Any]:
        found = features(model, variables, images)
        order.extend(found)
        return found

    program, shapes = jax.make_jaxpr(named, return_shape=True)(variables, images)
    layers = [path[1].key for path, _ in jax.tree.leaves_with_path(variables)]
    # The image and constants are of no layer, and what is computed of the layers of all that it is computed from.
    of = {variable: {layer} for variable, layer in zip(program.jaxpr.invars, layers, strict=False)}
    for equation in program.jaxpr.eqns:
        used = [of[v] for v in equation.invars if isinstance(v, Var) and v in of]
        of |= dict.fromkeys(equation.outvars, set[str]().union(*used))
    results = [v for v in program.jaxpr.outvars if isinstance(v, Var)]
    needs = {name: of.get(v, set()) for name, v in zip(sorted(shapes), results, strict=True)}
    by_feature, seen = {}, set[str]()
    for name in order:
        by_feature[name] = [layer for layer in dict.fromkeys(layers) if layer in needs[name] - seen]
        seen |= needs[name]
    return by_feature


def in_layers(pattern: str, model: nn.Module, image_shape: tuple[int, int, int]) -> str:
    """A regular expression for the beginning of parameters' names, with features' names as the layers that lead there.

    What begins the name of a layer, or is a part of a parameter's name, means that, as `stage1` in a ResNet.

    Raises:
      ValueError: for a feature without layers of its own.

    Example:
      >>> from cnn_jax.models import create_model
      >>> in_layers("stem|stage2/bias", create_model("lenet5"), (28, 28, 1))
      '(?:c1)(?=/)|(?:c3)(?=/)/bias'
    """
    paths = [[key.key for key in path] for path, _ in _parameters(model, image_shape)]
    layers, parts = {path[0] for path in paths}, {part for path in paths for part in path}
    words = {word for word in re.findall(_WORD.format(r"[A-Za-z]\w*"), pattern) if word not in parts}
    words = {word for word in words if not any(layer.startswith(word) for layer in layers)}
    if not words:
        return pattern
    by_feature = layers_of_features(model, image_shape)
    for word in words & by_feature.keys():
        if not by_feature[word]:
            own = ", ".join(name for name, found in by_feature.items() if found)
            raise ValueError(f"{pattern!r}: nothing in `{word}` has parameters of its own in this network; {own} have.")
        pattern = re.sub(_WORD.format(word), f"(?:{'|'.join(by_feature[word])})(?=/)", pattern)
    return pattern


_WORD = r"(?<![\w\\]){}(?!\w)"


def _parameters(model: nn.Module, image_shape: tuple[int, int, int]) -> Any:
    return jax.tree.leaves_with_path(abstract_variables(model, image_shape)["params"])
