"""Neighbours and the plane of largest variance against NumPy, and which class is taken for which."""

import numpy as np
import pytest

from cnn_jax.inspect import (
    commonest_confusions,
    confusion,
    nearest_neighbours,
    principal_plane,
    surest_mistakes,
)

POINTS = np.random.default_rng(0).normal(size=(40, 2, 3)).astype(np.float32)


def test_neighbours_are_those_at_the_least_distance():
    found = nearest_neighbours(POINTS, POINTS[:5] + 0.01, 3)
    distance = np.linalg.norm((POINTS[:5, None] + 0.01 - POINTS[None]).reshape(5, 40, 6), axis=2)
    np.testing.assert_array_equal(found.indices, distance.argsort(1)[:, :3])
    np.testing.assert_allclose(found.distance, np.sort(distance, 1)[:, :3], rtol=1e-5)
    assert nearest_neighbours(POINTS[:2], POINTS[:1], 5).indices.shape == (1, 2)


def test_the_plane_has_the_variance_of_the_largest_singular_values():
    found = principal_plane(POINTS)
    centred = POINTS.reshape(40, 6) - POINTS.reshape(40, 6).mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.points), np.abs(u[:, :2] * s[:2]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.explained, (s**2 / (s**2).sum())[:2], rtol=1e-5)
    with pytest.raises(ValueError, match="a plane needs two images and two numbers of each, got 1 and 6"):
        principal_plane(POINTS[:1])


def test_confusion_counts_pairs_and_names_the_commonest():
    labels, predicted = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 1, 1, 1, 0, 2])
    counts = confusion(labels, predicted, 4)
    assert counts.tolist() == [[1, 2, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert commonest_confusions(counts, "abcd") == [("a", "b", pytest.approx(2 / 3)), ("c", "a", 0.5)]
    assert commonest_confusions(counts, "abcd", 1) == [("a", "b", pytest.approx(2 / 3))]


def test_the_surest_mistakes_come_first():
    probabilities = np.array([[0.9, 0.8, 0.7, 0.6], [0.5, 0.8, 0.9, 0.6]])
    correct = np.array([[True, False, False, True], [True, False, True, False]])
    assert surest_mistakes(probabilities, correct, 4).tolist() == [1, 2, 3]
    assert surest_mistakes(probabilities, correct, 1).tolist() == [1]
