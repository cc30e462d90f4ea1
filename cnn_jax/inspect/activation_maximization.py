"""An image drawn out of a network: the one that excites a class, or a channel of a feature, the most."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cnn_jax.inspect.feature_names import check_classes, check_feature, logits, with_feature
from cnn_jax.randomness import Seed, random_key

# Tried on LeNet-5 and the digits alone: how many steps of Adam, its rate, and how strongly smoothness pulls.
_STEPS, _RATE, _SMOOTHNESS = 256, 0.05, 0.6


def draw_image(
    model: nn.Module,
    variables: Mapping[str, Any],
    image_shape: tuple[int, int, int],
    units: Sequence[int],
    *,
    feature: str | None = None,
    low: Sequence[float] = (0.0,),
    high: Sequence[float] = (1.0,),
    steps: int = _STEPS,
    smoothness: float = _SMOOTHNESS,
    jitter: int | None = None,
    seed: Seed = 0,
) -> Float[Array, "n h w c"]:
    """Images that excite one unit each, found by gradient ascent from grey.

    A step goes along ∇unit/‖∇unit‖ − smoothness · ∇TV/‖∇TV‖, so that logits and activations of any size are treated
    alike; the image is seen shifted by another few pixels each time, and a pixel stays between black and white as the
    logistic function of what is learned.

    Args:
      model: any Linen module that is called `(images, train=…)`.
      variables: "params", and "batch_stats" where it has them.
      image_shape: height, width, channels.
      units: classes, whose logits are raised; or channels of `feature`, whose mean over all places is.
      feature: a named feature; None: the logits.
      low, high: what black and white are to the network, one value or one a channel: −mean/std and (1 − mean)/std.
      steps: of Adam.
      smoothness: the weight of total variation; 0 draws noise; less than here draws clearer shapes, with more noise.
      jitter: the farthest shift, in pixels; None: a fourteenth of the shorter side.
      seed: of the shifts, and of the noise of 1 % that the drawing begins with.

    Returns:
      An image a unit, as the network takes them.

    Raises:
      ValueError: for a feature, class or channel that there is not.

    Source: Erhan, Bengio, Courville and Vincent 2009, "Visualizing Higher-Layer Features of a Deep Network"; jitter and
    total variation as in Mordvintsev, Olah and Tyka 2015, "Inceptionism".
    """
    if feature is None:
        check_classes(model, variables, image_shape, jnp.asarray(units))
    else:
        channels = check_feature(model, variables, image_shape, feature)[-1]
        if wrong := [unit for unit in units if not 0 <= unit < channels]:
            raise ValueError(f"there is no channel {wrong[0]}: the feature {feature!r} has {channels}, from 0.")
    black, white = jnp.asarray(low, jnp.float32), jnp.asarray(high, jnp.float32)
    most = max(1, round(min(image_shape[:2]) / 14)) if jitter is None else jitter
    chosen = jnp.asarray(units)
    optimizer = optax.adam(_RATE)

    def image(learned: Array) -> Array:
        return black + (white - black) * jax.nn.sigmoid(learned)

    def excitement(learned: Array, variables: Any, step: Array) -> Array:
        shift = jax.random.randint(random_key(seed, "jitter of a drawn image", step), (2,), -most, most + 1)
        shifted = jnp.roll(image(learned), shift, (1, 2))
        if feature is None:
            values = logits(model, variables, shifted)
        else:
            values = with_feature(model, variables, shifted, feature)[1]
        means = values.reshape(len(chosen), -1, values.shape[-1]).mean(1)
        return jnp.take_along_axis(means, chosen[:, None], axis=1).sum()

    def roughness(learned: Array) -> Array:
        return total_variation(jax.nn.sigmoid(learned)).sum()

    @jax.jit
    def ascend(variables: Any, learned: Array) -> Array:
        def step(carry: Any, number: Array) -> tuple[Any, None]:
            learned, state = carry
            up = _unit_length(jax.grad(excitement)(learned, variables, number))
            rough = _unit_length(jax.grad(roughness)(learned))
            change, state = optimizer.update(smoothness * rough - up, state)
            return (optax.apply_updates(learned, change), state), None

        (learned, _), _ = jax.lax.scan(step, (learned, optimizer.init(learned)), jnp.arange(steps))
        return image(learned)

    noise = jax.random.normal(random_key(seed, "beginning of a drawn image"), (len(chosen), *image_shape), jnp.float32)
    return ascend(variables, 0.01 * noise)


def total_variation(images: Float[Array, "n h w c"]) -> Float[Array, "n"]:
    """The mean difference, in absolute value, of a pixel and its neighbour below and beside; on the scale given."""
    down, across = (jnp.abs(jnp.diff(images, axis=axis)).mean((1, 2, 3)) for axis in (1, 2))
    return down + across


def _unit_length(gradient: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Each image's gradient with a root mean square of one; zero stays zero."""
    size = jnp.sqrt(jnp.square(gradient).mean((1, 2, 3), keepdims=True))
    return gradient / jnp.where(size > 0, size, 1)
