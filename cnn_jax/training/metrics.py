"""What is measured, as clu metrics: each carries sums and counts, so padding and sharding never bias it."""

from typing import Any

import flax
import jax
import jax.numpy as jnp
from clu import metrics
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

CALIBRATION_BINS = 15  # Guo et al. 2017, section 5


def in_top_k(logits: Float[Array, "b k"], labels: Int[Array, "b"], k: int) -> Float[Array, "b"]:
    """1 where fewer than k classes score at least as high as the true one, else 0: top-1 and top-5 accuracy.

    A tie counts against the network, so that constant logits score 0 and not 1; NaN logits score 0 too.
    """
    true = jnp.take_along_axis(logits, labels[:, None], axis=1)
    # `not lower` rather than `at least`: every comparison with NaN is false.
    rank = jnp.sum(~(logits < true), axis=1) - 1
    return (rank < min(k, logits.shape[1])).astype(jnp.float32) * ~jnp.isnan(true[:, 0])


def brier_score(logits: Float[Array, "b k"], labels: Int[Array, "b"]) -> Float[Array, "b"]:
    """Σ over classes of (probability − 1[true class])² of each example, 0 to 2, as Brier 1950, equation 2, has it."""
    error = jax.nn.softmax(logits) - jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    return jnp.square(error).sum(1)


def _per_column(values: Float[Array, "b"], weight: Float[Array, "b k"]) -> Float[Array, "k"]:
    """`values @ weight` as a float32 sum: a GPU rounds the factors of a matrix product to 10 bits (TF32)."""
    return (values[:, None] * weight).sum(0)


@flax.struct.dataclass
class Calibration(metrics.Metric):
    """Expected calibration error (Guo et al. 2017, equation 3): how far confidence is from accuracy."""

    confidence: Float[Array, "bins"]
    correct: Float[Array, "bins"]
    count: Float[Array, "bins"]

    @classmethod
    def empty(cls) -> "Calibration":
        """No example yet."""
        zeros = jnp.zeros(CALIBRATION_BINS)
        return cls(zeros, zeros, zeros)

    @classmethod
    def from_model_output(
        cls, logits: Float[Array, "b k"], top1: Float[Array, "b"], mask: Bool[Array, "b"], **_: Any
    ) -> "Calibration":
        """Sums per bin of the confidence (the largest probability) over the examples in `mask`."""
        confidence = jax.nn.softmax(logits.astype(jnp.float32)).max(axis=1)
        bins = jnp.clip(jnp.ceil(confidence * CALIBRATION_BINS).astype(jnp.int32) - 1, 0, CALIBRATION_BINS - 1)
        weight = jax.nn.one_hot(bins, CALIBRATION_BINS) * mask[:, None]
        return cls(_per_column(confidence, weight), _per_column(top1, weight), weight.sum(0))

    def merge(self, other: "Calibration") -> "Calibration":
        """The sums of both."""
        return jax.tree.map(lambda a, b: a + b, self, other)

    def compute(self) -> Float[Array, ""]:
        """The mean over examples of |confidence - accuracy| of their bin, 0 to 1."""
        return jnp.abs(self.confidence - self.correct).sum() / jnp.maximum(self.count.sum(), 1)


@flax.struct.dataclass
class PerClass(metrics.Metric):
    """Top-1 accuracy of each class; NaN for a class without examples."""

    correct: Float[Array, "k"]
    count: Float[Array, "k"]

    @classmethod
    def from_model_output(
        cls,
        logits: Float[Array, "b k"],
        label: Int[Array, "b"],
        top1: Float[Array, "b"],
        mask: Bool[Array, "b"],
        **_: Any,
    ) -> "PerClass":
        """Counts per class over the examples in `mask`."""
        weight = jax.nn.one_hot(label, logits.shape[1]) * mask[:, None]
        return cls(_per_column(top1, weight), weight.sum(0))

    def merge(self, other: "PerClass") -> "PerClass":
        """The counts of both."""
        return PerClass(self.correct + other.correct, self.count + other.count)

    def compute(self) -> Float[Array, "k"]:
        """Fractions, 0 to 1."""
        return self.correct / self.count


@flax.struct.dataclass
class GradientNorm(metrics.Average):
    """The mean norm of the gradients of the steps taken; a skipped step has none that means anything."""

    @classmethod
    def from_model_output(cls, grad_norm: Float[Array, ""], finite: ArrayLike = True, **_: Any) -> "GradientNorm":
        """One step's norm."""
        return cls(jnp.where(finite, grad_norm, 0), jnp.asarray(finite, jnp.int32))

    def compute(self) -> Float[Array, ""]:
        """The mean; 0 where every step was skipped."""
        return self.total / jnp.maximum(self.count, 1)


@flax.struct.dataclass
class SkippedSteps(metrics.Metric):
    """How many steps float16's loss scaling skipped; 0 in other arithmetic."""

    count: Int[Array, ""]

    @classmethod
    def from_model_output(cls, finite: ArrayLike = True, **_: Any) -> "SkippedSteps":
        """0 or 1."""
        return cls(1 - jnp.asarray(finite, jnp.int32))

    def merge(self, other: "SkippedSteps") -> "SkippedSteps":
        """The sum."""
        return SkippedSteps(self.count + other.count)

    def compute(self) -> Int[Array, ""]:
        """The count."""
        return self.count


@flax.struct.dataclass
class TrainMetrics(metrics.Collection):
    """Of the training steps since the last log line."""

    loss: metrics.Average.from_output("loss")
    top1: metrics.Average.from_output("top1")
    top5: metrics.Average.from_output("top5")
    grad_norm: GradientNorm
    learning_rate: metrics.LastValue.from_output("learning_rate")
    skipped_steps: SkippedSteps


@flax.struct.dataclass
class Means(metrics.Metric):
    """The means over examples of metrics of one's own, by name."""

    total: dict[str, Float[Array, ""]]
    count: Int[Array, ""]

    @classmethod
    def from_model_output(cls, own: dict[str, Float[Array, "b"]], mask: Bool[Array, "b"], **_: Any) -> "Means":
        """Sums over the examples in `mask`."""
        total = {name: jnp.where(mask, each, 0).sum(dtype=jnp.float32) for name, each in own.items()}
        return cls(total, mask.sum(dtype=jnp.int32))

    def merge(self, other: "Means") -> "Means":
        """The sums of both."""
        return jax.tree.map(lambda a, b: a + b, self, other)

    def compute(self) -> dict[str, Float[Array, ""]]:
        """The means."""
        return {name: total / self.count for name, total in self.total.items()}


@flax.struct.dataclass
class EvalMetrics(metrics.Collection):
    """Of one pass over a split; every example counts once."""

    loss: metrics.Average.from_output("loss")
    nll: metrics.Average.from_output("nll")
    brier: metrics.Average.from_output("brier")
    top1: metrics.Average.from_output("top1")
    top5: metrics.Average.from_output("top5")
    ece: Calibration
    per_class: PerClass


# With metrics of one's own: a class apart, so that evaluation without any is the program that it was.
MoreEvalMetrics = metrics.Collection.create(**EvalMetrics.__annotations__, own=Means)
