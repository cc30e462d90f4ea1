"""Scores, calibration and temperature, against scikit-learn and against loops."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from cnn_jax.inspect import fit_temperature, has_temperature, reliability
from cnn_jax.inspect.calibration import brier, confidence, is_correct, nll

CLASSES = list(range(7))


def sample(seed, spread=3.0):
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(200, 7)) * spread).astype(np.float32)
    labels = np.where(rng.random(200) < 0.6, logits.argmax(1), rng.integers(0, 7, 200))
    return logits, labels


def test_nll_and_brier_are_scikit_learns():
    logits, labels = sample(0)
    p = softmax(logits.astype(np.float64), axis=1)
    assert nll(logits, labels).mean() == pytest.approx(log_loss(labels, p, labels=CLASSES), rel=1e-12)
    whole = brier_score_loss(labels, p, labels=CLASSES, scale_by_half=False)
    assert brier(logits, labels).mean() == pytest.approx(whole, rel=1e-12)
    tempered = softmax(logits.astype(np.float64) / 1.7, axis=1)
    assert nll(logits, labels, 1.7).mean() == pytest.approx(log_loss(labels, tempered, labels=CLASSES), rel=1e-12)


def test_nll_of_a_sure_mistake_is_its_margin_and_not_infinite():
    assert nll(np.array([[1000.0, 0.0]]), np.array([1])).tolist() == [1000.0]
    assert brier(np.array([[1000.0, 0.0]]), np.array([1])).tolist() == [2.0]


def test_reliability_is_scikit_learns_curve_without_its_empty_bins():
    logits, labels = sample(1)
    sure, right = confidence(logits), is_correct(logits, labels)
    found = reliability(sure, right)
    filled = found.count > 0
    accuracy, mean = calibration_curve(right, sure, n_bins=15)
    np.testing.assert_allclose(found.accuracy[filled], accuracy, rtol=1e-12)
    np.testing.assert_allclose(found.confidence[filled], mean, rtol=1e-12)
    assert found.count.sum() == 200 and np.isnan(found.accuracy[~filled]).all()


def test_ece_is_the_gap_of_each_bin_weighed_by_its_examples():
    # Of (0.6, 0.8]: confidence 0.7 and accuracy 0.5, of (0.8, 1]: 0.9 and 1; 0.8 itself belongs to the lower one.
    found = reliability(np.array([0.6001, 0.7999, 0.8, 0.6, 0.9]), np.array([1, 0, 1, 0, 1], bool), bins=5)
    assert found.count.tolist() == [0, 0, 1, 3, 1]
    assert found.ece == pytest.approx((0.6 + 3 * abs(2.2 / 3 - 2 / 3) + 0.1) / 5)


@pytest.mark.parametrize("seed", range(3))
def test_temperature_is_scikit_learns(seed):
    logits, labels = sample(seed)
    # A classifier whose scores are these logits: they are its inputs, and its weights the identity.
    scores = LogisticRegression().fit(logits, labels)
    scores.coef_, scores.intercept_ = np.eye(7), np.zeros(7)
    theirs = CalibratedClassifierCV(FrozenEstimator(scores), method="temperature", ensemble=False)
    inverse = theirs.fit(logits.astype(np.float64), labels).calibrated_classifiers_[0].calibrators[0].beta_
    assert fit_temperature(logits, labels) == pytest.approx(1 / inverse, rel=1e-4)  # theirs stops at 1e-5 of log T


@pytest.mark.parametrize("spread", [1e-6, 0.01, 1.0, 30.0, 1e5])
def test_temperature_never_raises_nll_and_leaves_every_order(spread):
    for seed in range(20):
        logits, labels = sample(seed, spread)
        found = fit_temperature(logits, labels)
        assert nll(logits, labels, found).mean() <= nll(logits, labels).mean()
        for other in (found * 0.99, found * 1.01):
            assert nll(logits, labels, found).mean() <= nll(logits, labels, other).mean()
        np.testing.assert_array_equal((logits.astype(np.float64) / found).argsort(1), logits.argsort(1))


def test_temperature_of_its_own_result_is_one():
    logits, labels = sample(0)
    assert fit_temperature(logits / fit_temperature(logits, labels), labels) == pytest.approx(1, rel=1e-6)


def test_there_is_no_best_temperature_for_a_network_that_is_always_right_or_no_better_than_chance():
    logits, labels = sample(0)
    for given in (logits.argmax(1), logits.argmin(1)):
        assert not has_temperature(logits, given)
        assert fit_temperature(logits, given) == 1.0
    assert has_temperature(logits, labels)
    assert not has_temperature(np.zeros((3, 2)), np.array([0, 1, 0]))


@pytest.mark.parametrize(
    ("logits", "labels", "why"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "with n > 0"),
        (np.zeros((2, 3)), np.zeros(3, int), "labels"),
        (np.full((1, 3), np.nan), np.zeros(1, int), "finite"),
        (np.zeros((1, 3)), np.array([3]), "from 3 to 3, with 3 classes"),
    ],
)
def test_what_no_temperature_can_be_fitted_to_is_refused(logits, labels, why):
    with pytest.raises(ValueError, match=why):
        fit_temperature(logits, labels)


def test_a_confidence_that_is_no_probability_is_refused():
    with pytest.raises(ValueError, match="from 0 to 1"):
        reliability(np.array([1.5]), np.array([True]))
    with pytest.raises(ValueError, match="of one length"):
        reliability(np.array([0.5]), np.array([True, False]))
