"""Make the next items while this one is used, in a thread in the background."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_END: Any = object()


def prefetch(
    source: Iterable[Any], prepare: Callable[[Any], Any] = lambda item: item, *, size: int = 2
) -> Generator[Any]:
    """The prepared items of a source, made up to `size` + 1 ahead of their user, from the first one on.

    The order is the source's, and every item comes out exactly once, so prefetching changes nothing but the waiting.
    What the source or `prepare` raises is raised again at the place in the stream where it happened. Close it, or use
    it within `contextlib.closing`: the thread then ends with the item that it is at, and the source is closed.

    Args:
      source: is advanced in the background thread only.
      prepare: is called on every item in the background thread, e.g. to put it on the device.
      size: items that wait at most, while one more is made; two hide a step that now and then takes longer.

    Example:
      >>> list(prefetch([1, 2, 3], lambda x: 10 * x))
      [10, 20, 30]
    """
    items = iter(source)

    def make() -> Any:
        item = next(items, _END)
        return item if item is _END else prepare(item)

    pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    try:
        ahead = deque(pool.submit(make) for _ in range(size + 1))
        while (item := ahead.popleft().result()) is not _END:
            ahead.append(pool.submit(make))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)
        if hasattr(items, "close"):
            items.close()
