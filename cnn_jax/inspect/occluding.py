"""What a network needs to see: the probability of a class while a square of the image is hidden, place by place."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cnn_jax.inspect.feature_names import check_classes, logits, shape_of

_TOGETHER = 16  # squares hidden in one call


def occlusion(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: Float[Array, "n h w c"],
    side: int,
    stride: int,
    classes: Int[Array, "n"] | int | None = None,
    *,
    value: Float[Array, "c"] | float = 0.0,
) -> Float[Array, "n rows columns"]:
    """How much the probability of a class falls when a square is hidden; below zero where it rises.

    Args:
      model: any Linen module that is called `(images, train=…)`.
      variables: "params", and "batch_stats" where it has them.
      images: normalised.
      side: of the square, in pixels.
      stride: from one square to the next, in pixels: `corners` says where they are.
      classes: one an image or one for all; None is the class predicted for each.
      value: what is put in place; 0 is the mean colour of the data set where images are normalised.

    Raises:
      ValueError: for a class that there is not; for a square that does not fit into the image, or a stride below 1.

    Source: Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2.
    """
    check_classes(model, variables, shape_of(images), classes)
    height, width = images.shape[1:3]
    tops, lefts = corners(height, side, stride), corners(width, side, stride)
    places = jnp.asarray([(top, left) for top in tops for left in lefts])

    @jax.jit
    def run(variables: Any, images: Array, classes: Any) -> Array:
        def probability(images: Array, classes: Array) -> Array:
            every = jax.nn.softmax(logits(model, variables, images))
            return jnp.take_along_axis(every, classes[:, None], axis=1)[:, 0]

        if classes is None:
            classes = logits(model, variables, images).argmax(-1)
        classes = jnp.broadcast_to(classes, (len(images),))

        def hidden(place: Array) -> Array:
            rows, columns = (jnp.arange(size) - at for size, at in zip((height, width), place, strict=True))
            square = ((rows >= 0) & (rows < side))[:, None] & ((columns >= 0) & (columns < side))
            return probability(jnp.where(square[..., None], jnp.asarray(value, images.dtype), images), classes)

        return probability(images, classes) - jax.lax.map(hidden, places, batch_size=_TOGETHER)

    return run(variables, images, classes).T.reshape(len(images), len(tops), len(lefts))


def corners(length: int, side: int, stride: int) -> list[int]:
    """Where squares begin along an axis of so many pixels: each stride, and flush with the end.

    Example:
      >>> corners(28, 7, 6)
      [0, 6, 12, 18, 21]

    Raises:
      ValueError: for a square that does not fit, or a stride below 1.
    """
    if not 1 <= side <= length or stride < 1:
        raise ValueError(
            f"a square of {side} pixels every {stride} does not fit along {length} pixels; both must be at least 1, "
            "and the square no larger than the image."
        )
    return [*range(0, length - side, stride), length - side]
