"""Which pixels make the logit of a class what it is, in shares that add up to it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cnn_jax.inspect.feature_names import check_classes, chosen_logit, logits, shape_of

COMPLETENESS = 1e-3
"""How far the shares may miss the difference of the logits, relative to it."""
_POINTS, _MOST = 16, 256  # of a piece of the path, whose gradients are taken in one call; and pieces


@dataclasses.dataclass(frozen=True)
class Attribution:
    """What `integrated_gradients` gives.

    Attributes:
      values: a share for each value of each image; they add up to `difference`.
      difference: the logit of the image less that of the baseline.
      steps: the points of the path at which gradients were taken.
      gap: how far the sum of the shares is from `difference`.
    """

    values: Float[Array, "n h w c"]
    difference: Float[Array, "n"]
    steps: int
    gap: Float[Array, "n"]

    @property
    def is_complete(self) -> bool:
        """Whether the shares of every image add up, within `COMPLETENESS` and the rounding of a logit."""
        rounding = 4 * jnp.finfo(self.values.dtype).eps * jnp.abs(self.values).sum((1, 2, 3))
        return bool((jnp.abs(self.gap) <= COMPLETENESS * jnp.abs(self.difference) + rounding).all())


def integrated_gradients(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: Float[Array, "n h w c"],
    baseline: Float[Array, "..."] | float,
    classes: Int[Array, "n"] | int | None = None,
    *,
    steps: int | None = None,
) -> Attribution:
    """(x − x′) ∫₀¹ ∂F(x′ + a (x − x′))/∂x da, by Gauss-Legendre quadrature, piece by piece where ReLU makes kinks.

    Args:
      model: any Linen module that is called `(images, train=…)`.
      variables: "params", and "batch_stats" where it has them.
      images: normalised.
      baseline: x′, the image that says nothing, on the same scale: of an image's shape, of all images', or one value
        a channel; black is −mean/std.
      classes: one an image or one for all; None is the class predicted for each.
      steps: gradients along the path, at the points of one rule; None takes 16 in each of 1, 2, 4, … pieces of the path
        until the shares add up (`is_complete`), and stops at 4,096 with what it has.

    Raises:
      ValueError: for a class that there is not, or fewer steps than one.

    Source: Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks", equations 1 and 3.
    """
    if steps is not None and steps < 1:
        raise ValueError(f"`steps` must be at least 1, got {steps}.")
    check_classes(model, variables, shape_of(images), classes)
    images = jnp.asarray(images)
    start = jnp.broadcast_to(jnp.asarray(baseline, images.dtype), images.shape)
    run = jax.jit(lambda v, x: logits(model, v, x))
    ends = run(variables, images)
    classes = ends.argmax(-1) if classes is None else jnp.broadcast_to(jnp.asarray(classes), (len(images),))
    difference = chosen_logit(ends, classes) - chosen_logit(run(variables, start), classes)

    @jax.jit
    def part(variables: Any, points: Array, weights: Array) -> Array:
        def gradient(point: Array) -> Array:
            score = lambda x: chosen_logit(logits(model, variables, x), classes).sum()  # noqa: E731
            return jax.grad(score)(start + point * (images - start))

        return jnp.tensordot(weights, jax.vmap(gradient)(points), 1)

    pieces = 1
    while True:
        mean = sum(part(variables, *nodes) for nodes in _nodes(steps or _POINTS, pieces, images.dtype))
        values = (images - start) * mean
        found = Attribution(values, difference, pieces * (steps or _POINTS), values.sum((1, 2, 3)) - difference)
        if steps is not None or found.is_complete or pieces == _MOST:
            return found
        pieces *= 2


def _nodes(steps: int, pieces: int, dtype: Any) -> list[tuple[Array, Array]]:
    """Points from 0 to 1 and their weights, in parts of one size: the last is filled with points of no weight."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    points = ((1 + points) / 2 + np.arange(pieces)[:, None]).ravel() / pieces
    weights = np.tile(weights / 2 / pieces, pieces)
    size = min(len(points), _POINTS)
    rows = [np.pad(values, (0, -len(points) % size)).reshape(-1, size) for values in (points, weights)]
    return [(jnp.asarray(p, dtype), jnp.asarray(w, dtype)) for p, w in zip(*rows, strict=True)]
