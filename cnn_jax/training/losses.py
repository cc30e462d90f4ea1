"""Losses: functions of logits [b, k] and targets, int [b] or float [b, k] as mixing makes them, giving one a row."""

from collections.abc import Callable

import jax
import optax
from jaxtyping import Array, Float, Int

from cnn_jax import ops

Targets = Int[Array, "b"] | Float[Array, "b k"]
Loss = Callable[[Float[Array, "b k"], Targets], Float[Array, "b"]]


def softmax_cross_entropy(
    logits: Float[Array, "b k"], targets: Targets, label_smoothing: float = 0.0
) -> Float[Array, "b"]:
    """Cross entropy with smoothed targets, per example; the plain negative log likelihood where smoothing is 0.

    Args:
      targets: the true classes, or rows that sum to 1 over the classes.
      label_smoothing: the part of the target spread evenly over all classes (Szegedy et al. 2016, section 7).
    """
    if targets.ndim == 1:
        if not label_smoothing and ops.current().on_cpu:  # its gradient scatters, which a GPU does in any order
            return optax.softmax_cross_entropy_with_integer_labels(logits, targets)
        targets = jax.nn.one_hot(targets, logits.shape[1], dtype=logits.dtype)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(targets.astype(logits.dtype), label_smoothing))


def sigmoid_cross_entropy(
    logits: Float[Array, "b k"], targets: Targets, label_smoothing: float = 0.0
) -> Float[Array, "b"]:
    """The sum over classes of the binary cross entropy of each class against the others (Beyer et al. 2020, section 5).

    Args:
      targets, label_smoothing: as of `softmax_cross_entropy`.
    """
    if targets.ndim == 1:
        targets = jax.nn.one_hot(targets, logits.shape[1], dtype=logits.dtype)
    targets = optax.smooth_labels(targets.astype(logits.dtype), label_smoothing)
    return optax.sigmoid_binary_cross_entropy(logits, targets).sum(axis=1)


LOSSES: dict[str, Callable[..., Float[Array, "b"]]] = {
    "softmax_cross_entropy": softmax_cross_entropy,
    "sigmoid_cross_entropy": sigmoid_cross_entropy,
}
