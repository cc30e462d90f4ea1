"""Which pixels an element of a feature map can see at all, whatever the weights are."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.inspect.cost import view
from cnn_jax.inspect.feature_names import check_feature, with_feature
from cnn_jax.ops import context


class ReceptiveField(NamedTuple):
    """Of the elements of a feature map; height and width, in pixels."""

    size: tuple[int, int]
    stride: tuple[int, int]
    """From the field of an element to its neighbour's; zero where all see the whole image."""
    start: tuple[int, int]
    """Where the field of the first element begins; below zero in the padding."""

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Top, left, bottom and right of an element's field, the last two excluded; may exceed the image."""
        top, left = (s + d * i for s, d, i in zip(self.start, self.stride, (row, column), strict=True))
        return top, left, top + self.size[0], left + self.size[1]


def receptive_field(
    model: nn.Module, variables: Mapping[str, Any], image_shape: tuple[int, int, int], name: str
) -> ReceptiveField:
    """The theoretical receptive field of a feature map, read off the windows and strides of the traced program.

    Args:
      model: any Linen module that is called `(images, train=…)`.
      variables: "params", and "batch_stats" where it has them.
      image_shape: height, width, channels.
      name: of a feature map.

    Raises:
      ValueError: for a feature that there is not or that is no map; for a network whose windows cannot be read off:
        what lies outside of the field found reaches the element in the middle.

    Example:
      >>> from cnn_jax.models import create_model, initialize
      >>> lenet5 = create_model("lenet5")
      >>> variables = initialize(lenet5, {"params": jax.random.key(0)}, (28, 28, 1))
      >>> receptive_field(lenet5, variables, (28, 28, 1), "stage2")
      ReceptiveField(size=(14, 14), stride=(2, 2), start=(-2, -2))

    Source: Araujo, Norris and Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks".
    """
    height, width, _ = check_feature(model, variables, image_shape, name, spatial=True)
    run = lambda v, x: with_feature(model, v, x, name)[1]  # noqa: E731
    with context(conv="xla"):
        images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
        found = view(jax.make_jaxpr(run)(variables, images).jaxpr)
    if found.whole:
        return ReceptiveField(image_shape[:2], (0, 0), (0, 0))
    field = ReceptiveField(found.size, found.step, found.start)
    top, left, bottom, right = field.box(height // 2, width // 2)
    rows, columns = jnp.arange(image_shape[0]), jnp.arange(image_shape[1])
    inside = ((rows >= top) & (rows < bottom))[:, None] & ((columns >= left) & (columns < right))
    outside_is_nan = jnp.broadcast_to(jnp.where(inside[..., None], 0.0, jnp.nan), (1, *image_shape))
    middle = jax.jit(run)(variables, outside_is_nan)[0, height // 2, width // 2]
    if bool(jnp.isnan(middle).any()):
        raise ValueError(
            f"the receptive field of {name!r} cannot be read off {type(model).__name__}: it moves pixels otherwise "
            "than convolutions, pooling, padding and slices do."
        )
    return field
