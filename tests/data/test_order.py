import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnn_jax.data.order import permutation, random_words, stratified_hold_out, stream


@given(st.integers(0, 2**64 - 1), st.integers(0, 10**6), st.integers(1, 300))
def test_permutation_holds_every_example_once(seed, epoch, n):
    assert sorted(permutation(seed, epoch, n)) == list(range(n))


def test_permutation_differs_between_epochs_and_seeds():
    orders = [tuple(permutation(seed, epoch, 100)) for seed in (0, 1, 2**64 - 1) for epoch in (0, 1, 2)]
    assert len(set(orders)) == 9


def test_permutation_is_the_one_written_down():
    # Written down once, so that a new NumPy that changes the stream is noticed.
    assert permutation(0, 0, 10).tolist() == [0, 2, 9, 1, 8, 5, 4, 3, 6, 7]
    assert random_words(3, 5, 2, purpose=0).tolist() == [1643616817891503291, 6122324068101744239]


def test_permutation_places_are_uniform():
    first = np.array([permutation(7, epoch, 8)[0] for epoch in range(4000)])
    counts = np.bincount(first, minlength=8)
    assert ((counts - 500) ** 2 / 500).sum() < 24.3  # chi-squared, 7 degrees of freedom, p = 0.001


@given(st.integers(0, 5), st.integers(0, 200), st.integers(0, 100), st.integers(1, 40))
def test_stream_is_the_concatenation_of_the_epochs(seed, first, count, n):
    index, epoch = stream(seed, first, count, n)
    positions = np.arange(first, first + count)
    assert epoch.tolist() == (positions // n).tolist()
    assert index.tolist() == [permutation(seed, p // n, n)[p % n] for p in positions.tolist()]


def test_stream_of_an_empty_set_is_refused():
    with pytest.raises(ValueError, match="`num_examples` must be positive"):
        stream(0, 0, 1, 0)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.floats(0, 1))
def test_stratified_hold_out_takes_every_class_in_proportion(labels, fraction):
    labels = np.array(labels)
    count = round(fraction * len(labels))
    chosen = stratified_hold_out(labels, count)
    assert len(chosen) == count
    assert len(np.unique(chosen)) == count
    for label, size in zip(*np.unique(labels, return_counts=True), strict=True):
        assert abs((labels[chosen] == label).sum() - size * count / len(labels)) < 1


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_another_would_repeat_is_refused(seed):
    with pytest.raises(ValueError, match=r"`seed` must lie from 0 to 2\*\*64 - 1"):
        random_words(seed, 0, 4, purpose=0)
