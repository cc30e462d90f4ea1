"""Every image file is decoded once before it is stored, so that a training does not meet a bad one."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

from cnn_jax.data.decoding.encoded import available_processors
from cnn_jax.data.decoding.images import decode_whole
from cnn_jax.data.errors import DataError
from cnn_jax.data.sets.raw import EncodedExample

OnError = Literal["fail", "skip"]

_AHEAD = 64  # files in memory while they are checked


def verified(
    examples: Iterable[EncodedExample], on_error: OnError, skipped: list[dict[str, str]]
) -> Iterator[EncodedExample]:
    """The examples that can be decoded, in their order; the others end the preparation, or are noted in `skipped`.

    Raises:
      DataError: with `on_error` "fail", for the first file that cannot be decoded.
    """
    waiting: deque[tuple[EncodedExample, Future[str | None]]] = deque()

    def settle() -> Iterator[EncodedExample]:
        example, fault = waiting.popleft()
        reason = fault.result()
        if reason is None:
            yield example
        elif on_error == "fail":
            raise DataError(f"{reason} Remove or mend the file, or skip such files with on_error=skip.")
        else:
            skipped.append({"file": example.name, "reason": reason})

    with ThreadPoolExecutor(available_processors(), thread_name_prefix="verify") as pool:
        for example in examples:
            waiting.append((example, pool.submit(_fault, example)))
            if len(waiting) >= _AHEAD:
                yield from settle()
        while waiting:
            yield from settle()


def _fault(example: EncodedExample) -> str | None:
    """What is wrong with an image file, or None."""
    if example.error:
        return example.error
    try:
        decode_whole(example.content, example.name)
    except DataError as error:
        return str(error)
    return None
