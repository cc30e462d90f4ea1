"""What a network costs: parameters, multiplications, operations, memory; by layer and in total."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.inspect.cost import Layer, layers
from cnn_jax.models import abstract_variables, architecture, create_model


@dataclasses.dataclass(frozen=True)
class Summary:
    """A network's cost for one image.

    Args:
      model: its name.
      image_shape: height, width, channels of the image.
      num_classes: width of the classifier.
      params: number of parameters.
      layers: the rows.
    """

    model: str
    image_shape: tuple[int, int, int]
    num_classes: int
    params: int
    layers: tuple[Layer, ...]

    @property
    def macs(self) -> int:
        """Multiplications with additions, of convolutions and dense layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def flops(self) -> int:
        """Floating-point operations: a multiplication and an addition for each MAC."""
        return 2 * self.macs

    @property
    def activation_bytes(self) -> int:
        """Memory of all layers' outputs, which the backward pass wants again."""
        return sum(layer.activation_bytes for layer in self.layers)

    def as_dict(self) -> dict[str, Any]:
        """The figures in a form that JSON takes."""
        return {
            "model": self.model,
            "image_shape": list(self.image_shape),
            "num_classes": self.num_classes,
            "params": self.params,
            "macs": self.macs,
            "flops": self.flops,
            "activation_bytes": self.activation_bytes,
            "layers": [{**dataclasses.asdict(layer), "flops": layer.flops} for layer in self.layers],
        }


def summarize(
    name: str,
    image_size: int | None = None,
    num_classes: int | None = None,
    *,
    dtype: Any = jnp.float32,
    options: Mapping[str, Any] | None = None,
) -> Summary:
    """The cost of a network by name; computes shapes only.

    Args:
      name: as in `list_models`.
      image_size: side of a square image; None: as published.
      num_classes: None: as published.
      dtype: of the computation, which the activation memory follows.
      options: departures from the published network.

    Raises:
      ValueError: for an unknown name, or a size that the network cannot take.

    Example:
      >>> summarize("lenet5").params
      61706
    """
    entry = architecture(name)
    model = create_model(name, num_classes, dtype, options)
    height, width, channels = entry.image_shape
    shape = (height, width, channels) if image_size is None else (image_size, image_size, channels)
    variables = abstract_variables(model, shape)
    params = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))
    return Summary(name, shape, model.num_classes, params, tuple(layers(model, variables, shape)))
