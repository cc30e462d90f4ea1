"""Intervals and decisions against scipy, formulas written out, and enumeration."""

import itertools

import numpy as np
import pytest
from scipy import stats

from cnn_jax.study.statistics import (
    EXACT,
    crossed_interval,
    detectable,
    holm,
    least_p,
    pairing,
    power,
    seeds_needed,
    sign_flip_p,
    spread_interval,
    t_interval,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n", [2, 5, 20])
def test_the_interval_over_seeds_is_scipys(n):
    values = RNG.normal(0.9, 0.01, n)
    found = t_interval(values)
    wanted = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose(found, [values.mean(), wanted.low, wanted.high], rtol=1e-12)
    assert found.half == pytest.approx((wanted.high - wanted.low) / 2)


def test_one_seed_has_no_interval_and_equal_ones_have_one_of_no_length():
    assert t_interval(np.array([0.5])) == (0.5, -np.inf, np.inf)
    assert t_interval(np.full(4, 0.5)) == (0.5, 0.5, 0.5)


def mean_squares(values):
    """Of the two-way table, by loops."""
    n, m = values.shape
    mean = values.sum() / (n * m)
    s = sum(m * (row.sum() / m - mean) ** 2 for row in values) / (n - 1)
    e = sum(n * (column.sum() / n - mean) ** 2 for column in values.T) / (m - 1)
    r = sum(
        (values[i, j] - values[i].sum() / m - values[:, j].sum() / n + mean) ** 2 for i in range(n) for j in range(m)
    )
    return s, e, r / ((n - 1) * (m - 1))


def test_the_interval_over_seeds_and_examples_is_satterthwaites():
    values = RNG.normal(size=(5, 1)) + RNG.normal(size=(1, 30)) + RNG.normal(size=(5, 30))
    s, e, r = mean_squares(values)
    total = s + e - r
    freedom = total**2 / (s**2 / 4 + e**2 / 29 + r**2 / (4 * 29))
    half = stats.t.ppf(0.975, freedom) * np.sqrt(total / 150)
    found = crossed_interval(values)
    np.testing.assert_allclose(found, [values.mean(), values.mean() - half, values.mean() + half], rtol=1e-10)


def test_without_a_spread_of_seeds_only_the_examples_count():
    right = np.tile(RNG.random(400) < 0.8, (3, 1)).astype(float)  # every seed answers alike
    found = crossed_interval(right)
    assert found.half == pytest.approx(t_interval(right[0]).half, rel=0.01)
    assert crossed_interval(np.ones((3, 10))) == (1, 1, 1)
    assert crossed_interval(np.ones((1, 10))).half == np.inf


def test_pairing_is_the_correlation():
    base = RNG.normal(size=9)
    assert pairing(base + 1, base) == pytest.approx(1) and pairing(-base, base) == pytest.approx(-1)
    assert pairing(np.ones(9), base) is None and pairing(base[:2], base[:2]) is None


@pytest.mark.parametrize("n", [1, 2, 5, 9, 12])
def test_sign_flips_are_enumerated(n):
    differences = RNG.normal(0.5, 1, n)
    means = [abs(np.dot(signs, differences)) for signs in itertools.product([1, -1], repeat=n)]
    wanted = sum(mean >= abs(differences.sum()) - 1e-9 for mean in means) / 2**n
    assert sign_flip_p(differences) == wanted


def test_sign_flips_are_scipys():
    arm, base = RNG.normal(0.6, 1, (2, 10))
    test = stats.permutation_test(
        (arm, base), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(arm - base) == pytest.approx(test.pvalue)


def test_many_pairs_are_drawn_with_the_observed_one_counted():
    differences = RNG.normal(0.4, 1, EXACT + 4)
    flips = np.random.default_rng(5).choice([-1, 1], (200_000, EXACT + 4))
    exact = (np.abs(flips @ differences) >= abs(differences.sum())).mean()
    assert sign_flip_p(differences) == pytest.approx(exact, abs=0.005)  # four standard errors of either
    assert sign_flip_p(np.ones(40)) == least_p(40) == 1 / 100_001


def test_ties_are_as_extreme_as_what_they_tie_with():
    assert sign_flip_p(np.zeros(5)) == 1
    assert sign_flip_p(np.array([0.1, 0.2, 0.3, 0.0])) == 2 * 2 / 2**4  # the zero flips for nothing


def test_few_seeds_cannot_decide():
    assert least_p(5) == 0.0625 and seeds_needed(1) == 6
    assert seeds_needed(10) == 9 and least_p(9) <= 0.05 / 10 < least_p(8)
    assert detectable(5) is None and detectable(8, arms=10) is None


@pytest.mark.parametrize(
    ("p", "rejected"),
    [
        ([0.01, 0.04, 0.03], [True, False, False]),  # 0.03 is held against 0.025, and 0.04 falls with it
        ([0.01, 0.02, 0.03], [True, True, True]),
        ([0.02, 0.02], [True, True]),
        ([0.03, 0.02], [True, True]),
        ([0.2, 0.001, 0.6], [False, True, False]),
        ([0.05], [True]),
    ],
)
def test_holm_goes_down_the_list_to_the_first_that_fails(p, rejected):
    assert holm(np.array(p)).tolist() == rejected


def test_holm_is_its_adjusted_p_values_on_many():
    p = RNG.random((50, 7)) ** 3
    for row, found in zip(p, holm(p), strict=True):
        order = np.argsort(row)
        adjusted = np.empty(7)
        adjusted[order] = np.maximum.accumulate((7 - np.arange(7)) * row[order])
        assert found.tolist() == (adjusted <= 0.05).tolist()


@pytest.mark.parametrize(("n", "arms", "effect"), [(9, 1, 1.0), (9, 10, 2.0), (12, 3, 1.2)])
def test_power_is_that_of_the_procedure(n, arms, effect):
    differences = np.random.default_rng(3).standard_normal((4_000, arms, n))
    differences[:, 0] += effect
    found = holm(sign_flip_p(differences))[:, 0].mean()
    assert power(effect, n, arms) == pytest.approx(found, abs=0.03)


def test_the_detectable_effect_has_eighty_percent_and_more_seeds_detect_less():
    effect = detectable(9)
    assert power(effect, 9) == pytest.approx(0.8, abs=0.01)
    assert power(effect, 12) > 0.81 and power(effect, 9, arms=3) < 0.79


def test_the_spread_has_its_interval():
    values = RNG.normal(size=9)
    low, high = spread_interval(values)
    squares = 8 * values.var(ddof=1)
    assert stats.chi2.cdf(squares / low**2, 8) == pytest.approx(0.975)
    assert stats.chi2.cdf(squares / high**2, 8) == pytest.approx(0.025)
