import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnn_jax.data import ArrayDataset, DatasetInfo, eval_batches, train_batches


def numbered(n: int) -> ArrayDataset:
    """n images of 1×1×2 whose pixels spell the example's number."""
    number = np.arange(n)
    images = np.stack([number % 256, number // 256], axis=-1).astype(np.uint8).reshape(n, 1, 1, 2)
    info = DatasetInfo("numbered", "train", n, 7, (1, 1, 2), tuple("abcdefg"), (0.5, 0.5), (0.3, 0.3), "1.0.0")
    return ArrayDataset(images, number % 7, info)


def take(batches, count):
    return list(itertools.islice(batches, count))


def assert_equal_batches(left, right):
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            assert one[key].dtype == other[key].dtype
            np.testing.assert_array_equal(one[key], other[key])


sizes = st.integers(1, 40)
batch_sizes = st.integers(1, 100)  # larger than the set, too


@given(sizes, batch_sizes, st.integers(0, 30), st.integers(0, 3))
def test_train_batches_started_at_k_equal_those_with_k_dropped(n, batch_size, k, seed):
    data = numbered(n)
    undisturbed = take(train_batches(data, batch_size, seed=seed), k + 3)[k:]
    assert_equal_batches(take(train_batches(data, batch_size, seed=seed, start=k), 3), undisturbed)


@given(sizes, batch_sizes, st.integers(1, 4))
def test_train_batches_show_every_example_once_an_epoch(n, batch_size, epochs):
    batches = take(train_batches(numbered(n), batch_size, seed=1), -(-epochs * n // batch_size))
    index, epoch = (np.concatenate([batch[key] for batch in batches])[: epochs * n] for key in ("index", "epoch"))
    for e in range(epochs):
        assert sorted(index[epoch == e]) == list(range(n))
        assert (epoch[e * n : (e + 1) * n] == e).all()


@given(sizes, st.integers(1, 6), st.sampled_from([1, 2, 4, 8]))
def test_train_batches_by_rows_are_the_rows_of_the_global_batch(n, rows_each, processes):
    data, size = numbered(n), rows_each * processes
    whole = take(train_batches(data, size, seed=2, start=5), 4)
    parts = [
        take(train_batches(data, size, seed=2, start=5, rows=slice(p * rows_each, (p + 1) * rows_each)), 4)
        for p in range(processes)
    ]
    joined = [{key: np.concatenate([part[step][key] for part in parts]) for key in whole[0]} for step in range(4)]
    assert_equal_batches(joined, whole)


@given(sizes, batch_sizes)
def test_batches_carry_the_image_and_label_of_their_index(n, batch_size):
    data = numbered(n)
    for batch in take(train_batches(data, batch_size, seed=0), 3) + list(eval_batches(data, batch_size)):
        assert batch["image"].dtype == np.uint8 and batch["label"].dtype == np.int32
        assert (batch["image"][:, 0, 0, 0] + 256 * batch["image"][:, 0, 0, 1].astype(int) == batch["index"]).all()
        assert (batch["label"] == batch["index"] % 7).all()


@given(sizes, st.integers(1, 10), st.sampled_from([1, 2, 4, 8]))
def test_eval_batches_show_every_example_exactly_once(n, rows_each, processes):
    size = rows_each * processes
    seen = []
    for p in range(processes):
        for batch in eval_batches(numbered(n), size, rows=slice(p * rows_each, (p + 1) * rows_each)):
            assert len(batch["image"]) == len(batch["label"]) == len(batch["mask"]) == rows_each
            seen.extend(batch["index"][batch["mask"]])
    assert sorted(seen) == list(range(n))


def test_train_batches_start_far_away_costs_what_starting_costs():
    data = numbered(60_000)

    def seconds_to_first(start):
        begin = time.perf_counter()
        next(train_batches(data, 128, seed=time.perf_counter_ns(), start=start))  # a new seed: nothing is cached
        return time.perf_counter() - begin

    near, far = (min(seconds_to_first(start) for _ in range(5)) for start in (0, 10**9))
    assert far < 5 * near + 0.01


@pytest.mark.parametrize(
    ("arguments", "message"), [((0, 0), "`batch_size` must be positive"), ((4, -1), "`start` must not")]
)
def test_train_batches_refuses_at_once(arguments, message):
    size, start = arguments
    with pytest.raises(ValueError, match=message):
        train_batches(numbered(3), size, seed=0, start=start)
