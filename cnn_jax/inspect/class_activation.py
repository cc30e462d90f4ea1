"""Where in the image a network sees a class: the feature map, weighted by how much each channel speaks for it."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cnn_jax.inspect.feature_names import feature_gradient


def grad_cam(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: Float[Array, "n h w c"],
    name: str,
    classes: Int[Array, "n"] | int | None = None,
) -> Float[Array, "n h2 w2"]:
    """ReLU(Σₖ αₖ Aᵏ), where αₖ is the mean over all places of the gradient of the class's logit by channel k.

    Args:
      model: any Linen module that is called `(images, train=…)`.
      variables: "params", and "batch_stats" where it has them.
      images: normalised.
      name: of a feature map; the last ones are the most telling (`named_features` lists them).
      classes: one an image or one for all; None is the class predicted for each.

    Returns:
      A map of the feature's size for each image, at least zero, in the unit of a logit.

    Raises:
      ValueError: for a feature or a class that there is not, or a feature that is no map.

    Source: Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2.
    """
    maps, gradient = feature_gradient(model, variables, images, name, classes, spatial=True)
    exact = jnp.promote_types(maps.dtype, jnp.float32)
    weights = gradient.astype(exact).mean((1, 2))
    return jax.nn.relu(jnp.einsum("nhwk,nk->nhw", maps.astype(exact), weights, precision="highest"))
