"""What a few seeds allow one to say: intervals, and the one procedure that decides.

Values are of one metric, a row a seed. An arm and the base are paired by seed. Every function takes float64 arrays.
"""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

LEVEL = 0.05  # of the intervals, and of the family-wise error of the decisions
EXACT = 16  # pairs up to which all sign flips are enumerated: 65,536
FLIPS = 100_000  # drawn beyond
POWER = 0.8  # at which an effect counts as detectable (Cohen 1988)
_DRAWS = 20_000  # of studies, to compute a power: its standard error is below 0.4 points
_ALL_FLIPS, _FLIPS = 12, 5_000  # pairs up to which a power is computed with all flips; and how many beyond


class Interval(NamedTuple):
    """An estimate with its 95 % confidence interval, of infinite length where one value allows none."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half the interval's length."""
        return (self.high - self.low) / 2


def t_interval(values: Float[np.ndarray, "n"]) -> Interval:
    """The mean over seeds: mean ± t(0.975, n − 1) · s / √n (Student 1908), s² the sum of squares over n − 1."""
    n = len(values)
    return _interval(values.mean(), values.var(ddof=1) / n if n > 1 else np.inf, n - 1)


def crossed_interval(values: Float[np.ndarray, "n m"]) -> Interval:
    """The mean over other seeds and other examples than these, for n seeds that all met the same m examples.

    Seeds and examples are crossed random effects, y = μ + seed + example + rest. With the mean squares of the two-way
    table, s of seeds, e of examples and r of the rest, the variance of the mean is estimated by (s + e − r) / (n m),
    and its degrees of freedom by Satterthwaite (1946):

        (s + e − r)² / (s² / (n − 1) + e² / (m − 1) + r² / ((n − 1)(m − 1)))

    Neither part is taken for less than nothing: s + e − r is at least the larger of s and e, less r.
    """
    n, m = values.shape
    if n < 2 or m < 2:
        return _interval(values.mean(), np.inf, 0)
    seeds, examples, mean = values.mean(1), values.mean(0), values.mean()
    s = m * ((seeds - mean) ** 2).sum() / (n - 1)
    e = n * ((examples - mean) ** 2).sum() / (m - 1)
    r = ((values - seeds[:, None] - examples + mean) ** 2).sum() / ((n - 1) * (m - 1))
    total = max(s, r) + max(e, r) - r
    if total == 0:
        return _interval(mean, 0.0, n - 1)
    freedom = total**2 / (s**2 / (n - 1) + e**2 / (m - 1) + r**2 / ((n - 1) * (m - 1)))
    return _interval(mean, total / (n * m), freedom)


def pairing(arm: Float[np.ndarray, "n"], base: Float[np.ndarray, "n"]) -> float | None:
    """The correlation over seeds of arm and base, which is what pairing them bought; None where one does not vary.

    The variance of the difference is that of two independent groups, less twice the covariance. Often there is none
    (Summers and Dinneen 2021).
    """
    if len(arm) < 3 or not arm.std() or not base.std():
        return None
    return float(np.corrcoef(arm, base)[0, 1])


def sign_flip_p(differences: Float[np.ndarray, "... n"]) -> Float[np.ndarray, "..."]:
    """The two-sided p-value of each row of paired differences: the part of all sign flips with a mean as extreme.

    Under the null hypothesis a difference has either sign alike (Fisher 1935, §21). Up to 16 pairs all flips count;
    beyond, 100,000 drawn ones and the observed one (Phipson and Smyth 2010), so that no p is zero. Means that agree to
    a part in 10¹² are one: sums of the same numbers in another order.
    """
    n = differences.shape[-1]
    return _p_by(_signs(n), differences, drawn=n > EXACT)


def _p_by(
    signs: Float[np.ndarray, "flips n"], differences: Float[np.ndarray, "... n"], *, drawn: bool
) -> Float[np.ndarray, "..."]:
    observed = np.abs(differences.sum(-1, keepdims=True))
    as_extreme = np.abs(differences @ signs.T) >= observed * (1 - 1e-12)
    return (as_extreme.sum(-1) + 1) / (len(signs) + 1) if drawn else as_extreme.mean(-1)


@functools.cache
def _signs(n: int) -> Float[np.ndarray, "flips n"]:
    if n <= EXACT:  # half of them: those with all signs changed have means as extreme
        return 1.0 - 2.0 * (np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1)
    return _drawn_signs(n, FLIPS)


@functools.cache
def _drawn_signs(n: int, flips: int) -> Float[np.ndarray, "flips n"]:
    return np.random.default_rng(0).choice([-1.0, 1.0], (flips, n))


def least_p(n: int) -> float:
    """The least p-value that n pairs can have: all differences of one sign, and the flip of all."""
    return 2 / 2**n if n <= EXACT else 1 / (FLIPS + 1)


def seeds_needed(arms: int, level: float = LEVEL) -> int:
    """The fewest seeds with which one of so many arms can be decided at all."""
    return next(n for n in range(1, EXACT + 1) if least_p(n) <= level / arms)


def holm(p: Float[np.ndarray, "... k"], level: float = LEVEL) -> Bool[np.ndarray, "... k"]:
    """Which of k hypotheses are rejected, with a family-wise error of at most `level` (Holm 1979).

    The i-th smallest p-value is held against level / (k − i + 1), up to the first that is above.
    """
    k = p.shape[-1]
    order = np.argsort(p, axis=-1, kind="stable")
    passed = np.take_along_axis(p, order, -1) <= level / (k - np.arange(k))
    rejected = np.logical_and.accumulate(passed, axis=-1)
    return np.take_along_axis(rejected, np.argsort(order, axis=-1, kind="stable"), -1)


def power(effect: float, n: int, arms: int = 1, level: float = LEVEL) -> float:
    """The probability that the procedure, flips and Holm, finds an effect, in standard deviations of the differences.

    Of one arm with normal differences, while the other arms are the base: found where its p-value is at most
    level / arms. By simulation, over the same draws for every effect; beyond 12 pairs with 5,000 of the flips, which
    changes it by about a point and takes a second where all take twenty.
    """
    few = n <= _ALL_FLIPS
    p = _p_by(_signs(n) if few else _drawn_signs(n, _FLIPS), _draws(n) + effect, drawn=not few)
    return float((p <= level / arms).mean())


@functools.cache
def detectable(n: int, arms: int = 1, level: float = LEVEL) -> float | None:
    """The effect found with a probability of 80 %, in standard deviations of the differences; None: n cannot decide."""
    if least_p(n) > level / arms:
        return None
    low, high = 0.0, 1.0
    while power(high, n, arms, level) < POWER:
        low, high = high, 2 * high
    while high - low > 0.005 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, n, arms, level) >= POWER else (middle, high)
    return high


def spread_interval(values: Float[np.ndarray, "n"], level: float = LEVEL) -> tuple[float, float]:
    """The confidence interval of the standard deviation of normal values: (n − 1) s² / χ², its quantiles."""
    freedom = len(values) - 1
    squares = values.var(ddof=1) * freedom
    less, more = stats.chi2.ppf([level / 2, 1 - level / 2], freedom)
    return float(np.sqrt(squares / more)), float(np.sqrt(squares / less))


@functools.cache
def _draws(n: int) -> Float[np.ndarray, "draws n"]:
    draws = _DRAWS if n <= _ALL_FLIPS else _DRAWS // 10
    return np.random.default_rng(0).standard_normal((draws, n))


def _interval(mean: float, variance: float, freedom: float) -> Interval:
    half = stats.t.ppf(1 - LEVEL / 2, freedom) * np.sqrt(variance) if np.isfinite(variance) else np.inf
    return Interval(float(mean), float(mean - half), float(mean + half))
