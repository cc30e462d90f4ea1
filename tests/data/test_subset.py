import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnn_jax.data import ArrayDataset, DataError, DatasetInfo, take_subset, train_batches
from cnn_jax.data.subset import noisy_labels


@pytest.fixture(scope="module")
def data():
    """Three classes of 30, 20 and 10 examples; each image is its own number."""
    labels = np.repeat([0, 1, 2], [30, 20, 10])[np.random.default_rng(0).permutation(60)]
    info = DatasetInfo("three", "train", 60, 3, (1, 1, 1), tuple("abc"), (0.5,), (0.3,), "1.0.0")
    return ArrayDataset(np.arange(60, dtype=np.uint8).reshape(60, 1, 1, 1), labels, info)


def numbers(dataset):
    return dataset.images(np.arange(len(dataset)))[:, 0, 0, 0]


def test_nothing_asked_gives_the_data_set_itself(data):
    assert take_subset(data, seed=0) is data


@pytest.mark.parametrize("count", [1, 4, 10])
def test_examples_per_class(data, count):
    subset = take_subset(data, seed=1, examples_per_class=count)
    assert np.bincount(subset.labels).tolist() == [count] * 3 and subset.info.num_examples == len(subset) == 3 * count
    np.testing.assert_array_equal(subset.labels, data.labels[numbers(subset)])


def test_smaller_subsets_lie_within_larger_ones_and_depend_on_the_seed(data):
    small, large, other = (
        set(numbers(take_subset(data, seed=seed, examples_per_class=count))) for seed, count in ((0, 3), (0, 8), (1, 3))
    )
    assert small < large and small != other
    assert small == set(numbers(take_subset(data, seed=0, examples_per_class=3)))


def test_class_fractions(data):
    subset = take_subset(data, seed=0, class_fractions=(1.0, 0.5, 0.25))
    assert np.bincount(subset.labels).tolist() == [30, 10, 2]
    assert np.bincount(take_subset(data, seed=0, class_fractions=(1, 0, 0)).labels).tolist() == [30]
    both = take_subset(data, seed=0, examples_per_class=8, class_fractions=(1.0, 0.5, 0.25))
    assert np.bincount(both.labels).tolist() == [8, 4, 2]


@given(st.integers(2, 10), st.floats(0, 1), st.integers(0, 100))
def test_label_noise_changes_exactly_its_part_of_the_labels(num_classes, rate, seed):
    labels = np.arange(200) % num_classes
    noisy = noisy_labels(labels, num_classes, rate, seed)
    assert (noisy != labels).sum() == round(rate * 200)
    assert noisy.min() >= 0 and noisy.max() < num_classes


def test_label_noise_is_uniform_over_the_other_classes():
    noisy = noisy_labels(np.full(9000, 3), 10, 1.0, seed=0)
    counts = np.delete(np.bincount(noisy, minlength=10), 3)
    assert ((counts - 1000) ** 2 / 1000).sum() < 26.1  # chi-squared, 8 degrees of freedom, p = 0.001


def test_lower_noise_lies_within_higher_noise(data):
    low, high = (take_subset(data, seed=0, label_noise=rate).labels for rate in (0.2, 0.6))
    wrong = low != data.labels
    assert wrong.sum() == 12 and (low[wrong] == high[wrong]).all() and (high != data.labels).sum() == 36


@pytest.mark.parametrize("each", [5, 10])
def test_noise_is_a_part_of_what_is_trained_on(data, each):
    clean, noisy = (take_subset(data, seed=0, examples_per_class=each, label_noise=rate).labels for rate in (0, 0.2))
    assert (clean != noisy).sum() == round(0.2 * 3 * each)


def test_subset_is_trained_on_like_any_set(data):
    subset = take_subset(data, seed=0, examples_per_class=2)
    batch = next(train_batches(subset, 6, seed=0))
    assert sorted(batch["index"]) == list(range(6))
    np.testing.assert_array_equal(data.labels[batch["image"][:, 0, 0, 0]], batch["label"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"examples_per_class": 11}, "must be from 1 to 10, the size of the smallest class, got 11"),
        ({"examples_per_class": 0}, "must be from 1 to 10"),
        ({"class_fractions": (1.0, 0.5)}, "must be 3 numbers from 0 to 1"),
        ({"class_fractions": (1.0, 0.5, 2)}, "must be 3 numbers from 0 to 1"),
        ({"class_fractions": (0.0, 0.0, 0.0)}, "leave no example"),
        ({"label_noise": 1.5}, "must be from 0 to 1, got 1.5"),
    ],
)
def test_impossible_subset_is_refused(data, asked, message):
    with pytest.raises(DataError, match=message):
        take_subset(data, seed=0, **asked)
