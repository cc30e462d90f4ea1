"""What a network costs: parameters, multiplications, operations, memory; by layer and in total."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

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


def summary(
    model: str | nn.Module,
    image_size: int | tuple[int, int, int] | None = None,
    num_classes: int | None = None,
    *,
    dtype: Any = jnp.float32,
    options: Mapping[str, Any] | None = None,
) -> Summary:
    """The cost of a network; computes shapes only.

    Args:
      model: a name as in `list_models`, or any Flax module that is called as a network is.
      image_size: side of a square image; None: as published. A module needs (height, width, channels).
      num_classes, dtype, options: of a network by name; None: as published.

    Raises:
      ValueError: for an unknown name, or a size that the network cannot take.

    Example:
      >>> summary("lenet5").params
      61706
    """
    if isinstance(model, str):
        name, (height, width, channels) = model, architecture(model).image_shape
        model = create_model(model, num_classes, dtype, options)
        shape = (height, width, channels)
        if image_size is not None:
            shape = (image_size, image_size, channels) if isinstance(image_size, int) else image_size
    elif isinstance(image_size, tuple):
        name, shape = type(model).__name__, image_size
    else:
        raise ValueError(f"a module needs `image_size` as (height, width, channels), got {image_size}.")
    variables = abstract_variables(model, shape)
    classes = getattr(model, "num_classes", None)
    if classes is None:
        image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        classes = jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, image).shape[-1]
    params = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))
    return Summary(name, shape, classes, params, tuple(layers(model, variables, shape)))
