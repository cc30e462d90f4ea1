import gc
import itertools
import threading
import time

import pytest

from cnn_jax.data import Prefetch


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def prefetch_threads():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    gc.collect()
    assert wait_until(lambda: not prefetch_threads())


@pytest.mark.parametrize("size", [1, 2, 7])
def test_prefetch_gives_every_item_once_and_in_order(size):
    assert list(Prefetch(range(100), lambda x: x * x, size=size)) == [x * x for x in range(100)]


def test_prefetch_is_ahead_by_its_size_and_no_more():
    made = []
    with Prefetch((made.append(i) or i for i in itertools.count()), size=3) as items:
        assert next(items) == 0
        # three wait, and one is in the thread's hand
        assert wait_until(lambda: len(made) == 5)
        time.sleep(0.05)
        assert len(made) == 5


def test_prefetch_overlaps_with_its_user():
    def slow():
        for i in range(10):
            time.sleep(0.02)
            yield i

    begin = time.perf_counter()
    for _ in Prefetch(slow()):
        time.sleep(0.02)
    assert time.perf_counter() - begin < 0.36  # one after the other they take 0.40 s


@pytest.mark.parametrize("where", ["source", "prepare"])
def test_prefetch_raises_where_it_happened(where):
    def source():
        yield from (1, 2)
        if where == "source":
            raise KeyError("broken")
        yield 3

    def prepare(item):
        if item == 3:
            raise KeyError("broken")
        return item

    items = Prefetch(source(), prepare)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(KeyError, match="broken"):
        next(items)
    assert next(items, None) is None


def test_prefetch_closed_in_the_midst_closes_its_source():
    closed = threading.Event()

    def source():
        try:
            yield from itertools.count()
        finally:
            closed.set()

    items = Prefetch(source())
    assert next(items) == 0
    items.close()
    items.close()
    assert closed.is_set() and list(items) == []


def test_forgotten_prefetch_ends_its_thread():
    items = Prefetch(itertools.count())
    next(items)
    del items
    gc.collect()
    assert wait_until(lambda: not prefetch_threads())


def test_prefetch_refuses_no_room():
    with pytest.raises(ValueError, match="must be positive, got 0"):
        Prefetch([], size=0)
