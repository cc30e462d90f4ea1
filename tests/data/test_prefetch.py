import contextlib
import itertools
import threading

import pytest

from cnn_jax.data import prefetch

LONG = 60  # seconds, for what comes at once: a test that fails is not one that hangs


def prefetch_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not prefetch_threads()


@pytest.mark.parametrize("size", [0, 1, 2, 7])
def test_prefetch_gives_every_item_once_and_in_order(size):
    assert list(prefetch(range(100), lambda x: x * x, size=size)) == [x * x for x in range(100)]


def test_prefetch_is_ahead_by_its_size_and_no_more():
    made, fifth = [], threading.Event()

    def prepare(item):
        made.append(item)
        if len(made) == 5:
            fifth.set()
        return item

    with contextlib.closing(prefetch(itertools.count(), prepare, size=3)) as items:
        assert next(items) == 0
        assert fifth.wait(LONG)  # three wait, and one more is made
    assert made == [0, 1, 2, 3, 4]


def test_prefetch_makes_the_next_item_while_this_one_is_used():
    threads = set()
    with contextlib.closing(prefetch(range(9), lambda item: threads.add(threading.get_ident()))) as items:
        list(items)
    assert len(threads) == 1 and threading.get_ident() not in threads


@pytest.mark.parametrize("where", ["source", "prepare"])
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_prefetch_raises_where_it_happened(where, error):
    def source():
        yield from (1, 2)
        if where == "source":
            raise error("broken")
        yield 3

    def prepare(item):
        if item == 3:
            raise error("broken")
        return item

    items = prefetch(source(), prepare)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(error, match="broken"):
        next(items)
    assert next(items, None) is None


def endless(closed):
    try:
        yield from itertools.count()
    finally:
        closed.set()


def test_prefetch_closed_in_the_midst_closes_its_source():
    closed = threading.Event()
    items = prefetch(endless(closed))
    assert next(items) == 0
    items.close()
    items.close()
    assert closed.is_set() and list(items) == []


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_an_error_of_the_user_ends_the_thread_and_closes_the_source(error):
    closed = threading.Event()
    with pytest.raises(error, match="mine"), contextlib.closing(prefetch(endless(closed))) as items:
        next(items)
        raise error("mine")
    assert closed.is_set() and not prefetch_threads()


def test_an_interrupt_ends_with_the_item_in_the_making():
    making, go_on, made = threading.Event(), threading.Event(), []

    def source():
        for item in itertools.count():
            if item == 1:
                making.set()
                assert go_on.wait(LONG)
            made.append(item)
            yield item

    items = prefetch(source())
    assert next(items) == 0
    assert making.wait(LONG)
    timer = threading.Timer(0.01, go_on.set)  # closing waits for the item
    timer.start()
    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        items.throw(KeyboardInterrupt("Ctrl-C"))
    timer.join()
    assert made == [0, 1]


def test_forgotten_prefetch_ends_its_thread():
    items = prefetch(itertools.count())
    next(items)
    del items
    assert not prefetch_threads()
