"""What the first convolution looks for: its filters, which are small images themselves."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float

from cnn_jax.inspect.cost import layers


def first_filters(
    model: nn.Module, variables: Mapping[str, Any], image_shape: tuple[int, int, int]
) -> Float[Array, "kh kw c n"]:
    """The kernel of the first convolution that an image meets, HWIO: `[..., i]` is filter i.

    Args:
      model: any Linen module that is called `(images, train=…)`.
      variables: "params", and "batch_stats" where it has them.
      image_shape: height, width, channels.

    Raises:
      ValueError: where there is no convolution.
    """
    for layer in layers(model, dict(variables), image_shape):
        if layer.kind == "conv":
            found = variables["params"]
            for part in layer.name.split("/"):
                found = found[part]
            return next(leaf for leaf in found.values() if leaf.ndim == 4)  # the other is the bias
    raise ValueError(f"{type(model).__name__} has no convolution, so there are no filters to look at.")
