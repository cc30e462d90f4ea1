"""Whether a network's probabilities can be believed: proper scores, calibration, and one temperature that mends it.

All of it works on NumPy arrays, in float64, whatever the logits were computed in.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import brentq
from scipy.special import log_softmax, logsumexp, softmax

BINS = 15  # Guo et al. 2017, section 5
_ROWS = 4096  # at a time


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram (Niculescu-Mizil and Caruana 2005): examples by their confidence, in bins of equal width.

    Attributes:
      confidence: the mean over each bin; NaN where it holds no example.
      accuracy: the fraction of each bin that is right; NaN where it holds no example.
      count: how many examples each bin holds.
    """

    confidence: Float[np.ndarray, "bins"]
    accuracy: Float[np.ndarray, "bins"]
    count: Int[np.ndarray, "bins"]

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean over examples of |confidence − accuracy| of their bin, 0 to 1."""
        gap = np.where(self.count > 0, np.abs(self.confidence - self.accuracy), 0)
        return float((gap * self.count).sum() / max(self.count.sum(), 1))


def reliability(
    confidence: Float[np.ndarray, "n"], correct: Bool[np.ndarray, "n"] | Float[np.ndarray, "n"], bins: int = BINS
) -> Reliability:
    """Examples sorted into bins (0, 1/bins], …, (1 − 1/bins, 1] by confidence, as in Guo et al. 2017, equation 3.

    Args:
      confidence: the probability of the most probable class, in [0, 1]; 0 belongs to the first bin.
      correct: whether that class is the true one.

    Raises:
      ValueError: for a confidence outside of [0, 1], or arrays of different lengths.
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if confidence.shape != correct.shape or confidence.ndim != 1:
        raise ValueError(f"confidence and correct must be of one length, got {confidence.shape} and {correct.shape}.")
    if not ((confidence >= 0) & (confidence <= 1 + 1e-6)).all():  # what rounding may add to a float32 sum of one
        raise ValueError("a confidence must be from 0 to 1.")
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):  # empty bins divide zero by zero
        mean_confidence, accuracy = (np.bincount(place, values, bins) / count for values in (confidence, correct))
    return Reliability(mean_confidence, accuracy, count)


def is_correct(logits: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Whether the true class scores higher than every other; a tie counts against the network, and so does NaN."""
    true = logits[np.arange(len(labels)), labels][:, None]
    return (logits < true).sum(1) == logits.shape[1] - 1  # type: ignore[no-any-return]


def nll(
    logits: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"], temperature: float = 1.0
) -> Float[np.ndarray, "n"]:
    """The negative log likelihood of each example's label in nats, with the logits divided by a temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    return -log_softmax(scaled, axis=1)[np.arange(len(labels)), labels]  # type: ignore[no-any-return]


def brier(
    logits: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"], temperature: float = 1.0
) -> Float[np.ndarray, "n"]:
    """Σ over classes of (probability − 1[true class])² of each example, 0 to 2, as Brier 1950, equation 2, has it."""
    error = softmax(np.asarray(logits, np.float64) / temperature, axis=1)
    error[np.arange(len(labels)), labels] -= 1
    return (error**2).sum(1)  # type: ignore[no-any-return]


def confidence(logits: Float[np.ndarray, "n k"], temperature: float = 1.0) -> Float[np.ndarray, "n"]:
    """The probability of each example's most probable class."""
    return softmax(np.asarray(logits, np.float64) / temperature, axis=1).max(1)  # type: ignore[no-any-return]


def fit_temperature(logits: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]) -> float:
    """The T > 0 with the least mean NLL of `softmax(logits / T)`: temperature scaling (Guo et al. 2017, section 4.2).

    In 1 / T the NLL is convex, so the root of its derivative is found and is the only one. T is fitted on examples that
    the network was not trained on. It never raises the NLL of those, and leaves the order of the classes as it is.

    There is no best T, and 1.0 is returned, where the network is right about every example (NLL falls without end as
    T → 0) and where it is no better than chance (as T → ∞); `has_temperature` tells.

    Raises:
      ValueError: for no examples, logits that are not finite, or labels that are no classes.
    """
    if not has_temperature(logits, labels):
        return 1.0

    def slope(inverse: float) -> float:
        """The derivative of the summed NLL by 1 / T."""
        return sum(float((softmax(inverse * part, axis=1) * part).sum()) for part in _margins(logits, labels))

    def total(inverse: float) -> float:
        """The summed NLL."""
        return sum(float(logsumexp(inverse * part, axis=1).sum()) for part in _margins(logits, labels))

    low = high = 1.0
    while slope(low) > 0:
        low /= 2
    while slope(high) < 0:
        high *= 2
    inverse = brentq(slope, low, high, xtol=1e-300, rtol=1e-12)
    return 1 / inverse if total(inverse) < total(1.0) else 1.0  # next to 1 rounding may raise it


def has_temperature(logits: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]) -> bool:
    """Whether one temperature is the best for these examples.

    It is where the mean NLL falls at 1 / T = 0 (the true class scores above the mean of all, on the average), and rises
    in the end (another class scores highest for some example).

    Raises:
      ValueError: as `fit_temperature`.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise ValueError(f"logits must be [n, k] and labels [n] with n > 0, got {logits.shape} and {labels.shape}.")
    if not np.isfinite(logits).all():
        raise ValueError("a temperature is fitted to finite logits, and some of these are not.")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(f"labels are from {labels.min()} to {labels.max()}, with {logits.shape[1]} classes.")
    falls = sum(float(part.mean(1).sum()) for part in _margins(logits, labels)) < 0
    return falls and any((part > 0).any() for part in _margins(logits, labels))


def _margins(logits: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]) -> Iterator[Float[np.ndarray, "m k"]]:
    """What each class scores above the true one, in float64; some rows at a time, as ImageNet's take a gigabyte."""
    for first in range(0, len(labels), _ROWS):
        part, true = np.asarray(logits[first : first + _ROWS], np.float64), labels[first : first + _ROWS]
        yield part - part[np.arange(len(true)), true][:, None]
