"""Make the next items while this one is used: one background thread and a bounded queue."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self


class Prefetch[T](Iterator[T]):
    """An iterator that stays up to `size` items ahead of its user.

    The order is the source's, and every item comes out exactly once, so prefetching changes nothing but the waiting.
    What the source or `prepare` raises is raised again at the place in the stream where it happened. Close it, or use
    it in a `with` statement: the thread then ends, and the source is closed.

    Args:
        source: is advanced in the background thread only.
        prepare: is called on every item in the background thread, e.g. to put it on the device.
        size: items that wait at most; two hide a step that now and then takes longer.

    Example:
        >>> with Prefetch(iter([1, 2, 3]), lambda x: 10 * x) as items:
        ...     list(items)
        [10, 20, 30]
    """

    def __init__(self, source: Iterable[Any], prepare: Callable[[Any], T] | None = None, *, size: int = 2) -> None:
        if size < 1:
            raise ValueError(f"`Prefetch.size` must be positive, got {size}.")
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue(size)
        self._stopping = threading.Event()
        self._ended = False
        arguments = (iter(source), prepare, self._queue, self._stopping)
        # Given no reference to `self`, so that a forgotten iterator is collected, and closes itself.
        self._thread = threading.Thread(target=_work, args=arguments, name="prefetch", daemon=True)
        self._thread.start()

    def __next__(self) -> T:
        if self._ended:
            raise StopIteration
        kind, value = self._queue.get()
        if kind == "item":
            return value
        self.close()
        if kind == "error":
            raise value
        raise StopIteration

    def close(self) -> None:
        """End the thread and drop what waits; a second call does nothing."""
        self._ended = True
        self._stopping.set()
        while self._thread.is_alive():
            while not self._queue.empty():  # the thread may be waiting for room
                self._queue.get_nowait()
            self._thread.join(timeout=0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_stopping"):  # not where the constructor refused its arguments
            self._stopping.set()


def _work(
    source: Iterator[Any],
    prepare: Callable[[Any], Any] | None,
    waiting: "queue.Queue[tuple[str, Any]]",
    stopping: threading.Event,
) -> None:
    message: tuple[str, Any]
    while not stopping.is_set():
        try:
            item = next(source)
            message = ("item", prepare(item) if prepare else item)
        except StopIteration:
            message = ("end", None)
        except BaseException as error:  # forwarded to the user's thread, not swallowed
            message = ("error", error)
        while not stopping.is_set():
            try:
                waiting.put(message, timeout=0.1)
                break
            except queue.Full:
                continue
        if message[0] != "item":
            break
    if hasattr(source, "close"):
        source.close()
