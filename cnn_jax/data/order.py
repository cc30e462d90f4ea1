"""Which examples make up which training batch: index arithmetic, without any data.

The training stream is the concatenation of one permutation per epoch, and batch k of size B is positions kB … kB + B −
1 of it. So nothing is dropped, a batch may straddle epochs, and every batch is found without visiting the ones before.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy.random.bit_generator import ISeedSequence

# The purposes of random numbers drawn on the host: each owns a region of Philox's counter, so no two of them share a
# stream.
ORDER, HOLD_OUT, SUBSET, LABEL_NOISE, DECODE_CROP = range(5)

_WORD = 2**64


def random_words(seed: int, stream: int, count: int, *, purpose: int, first: int = 0) -> np.ndarray:
    """`count` random uint64 words: a pure function of (seed, stream, purpose), with a random access of O(1).

    They are the raw output of the counter-based Philox4x64-10 with key (seed, stream) and the purpose in the counter's
    top word. NumPy promises the raw streams of its bit generators for ever (NEP 19), but not `Generator.permutation` or
    `Generator.random`, so whatever must stay the same across versions is derived from these words.

    Args:
      first: the place of the first word in the stream, a multiple of 4.

    Raises:
      ValueError: for a seed beyond 0 … 2⁶⁴ − 1, which another would repeat.

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    if not 0 <= seed < _WORD:
        raise ValueError(f"`seed` must lie from 0 to 2**64 - 1, got {seed}.")
    key = _Key(np.array([seed, stream % _WORD], np.uint64))
    counter = np.array([first // 4, 0, 0, purpose], np.uint64)
    return np.random.Philox(key, counter=counter).random_raw(count)  # type: ignore[arg-type]  # stubs lack ISeedSequence


class _Key(ISeedSequence):
    """Philox's key as it is. Given as `key`, NumPy asks the system for entropy first: 23 µs for 40 words, not 8."""

    def __init__(self, words: np.ndarray) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> np.ndarray:
        """The two words of the key."""
        return self._words


# A batch needs the order of one epoch, and of two where it straddles; a prefetcher may be one ahead.
@lru_cache(maxsize=3)
def permutation(seed: int, epoch: int, num_examples: int) -> Int[np.ndarray, " num_examples"]:
    """The order of one epoch, the argsort of its random words: a function of (seed, epoch, num_examples) alone."""
    order = np.argsort(random_words(seed, epoch, num_examples, purpose=ORDER), kind="stable")
    order.setflags(write=False)  # it is shared through the cache
    return order


def stream(
    seed: int, first: int, count: int, num_examples: int
) -> tuple[Int[np.ndarray, " count"], Int[np.ndarray, " count"]]:
    """The examples at positions `first` … `first + count − 1` of the training stream.

    Returns:
      (index, epoch): which example stands at each position, and in which pass over the data set; both int32 [count].
    """
    if num_examples < 1:
        raise ValueError(f"`num_examples` must be positive, got {num_examples}: an empty data set has no stream.")
    index, epochs = [], []
    position, stop = first, first + count
    while position < stop:
        epoch, offset = divmod(position, num_examples)
        taken = min(stop - position, num_examples - offset)
        index.append(permutation(seed, epoch, num_examples)[offset : offset + taken])
        epochs.append(np.full(taken, epoch))
        position += taken
    if not index:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    return np.concatenate(index).astype(np.int32), np.concatenate(epochs).astype(np.int32)


def stratified_hold_out(
    labels: Int[np.ndarray, " n"], count: int, *, seed: int = 0, stream: int = 0
) -> Int[np.ndarray, " count"]:
    """Choose `count` examples, every class in proportion, as a function of the labels and the seed.

    Each class gives its share rounded down, and the classes with the largest remainders one more until `count` is
    reached (ties: the lower label). Within a class, the examples with the smallest random words are chosen.

    Returns:
      The chosen indices in rising order.
    """
    labels = np.asarray(labels)
    classes, sizes = np.unique(labels, return_counts=True)
    share = sizes * (count / len(labels))
    quota = np.floor(share).astype(int)
    quota[np.argsort(quota - share, kind="stable")[: count - quota.sum()]] += 1
    words = random_words(seed, stream, len(labels), purpose=HOLD_OUT)
    shuffled = np.argsort(words, kind="stable")
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    starts = np.cumsum(sizes) - sizes
    chosen = [by_class[start : start + n] for start, n in zip(starts, quota, strict=True)]
    return np.sort(np.concatenate(chosen)) if len(classes) else np.zeros(0, int)


def hold_out_part(labels: Int[np.ndarray, " n"], fraction: float, *, seed: int = 0) -> Int[np.ndarray, " m"]:
    """`stratified_hold_out` of a fraction, in [0, 1), that leaves every class an example to be trained on.

    So a class of one example is not held out at all, and there may be fewer than the fraction.
    """
    chosen = stratified_hold_out(labels, round(fraction * len(labels)), seed=seed)
    sizes = np.bincount(labels, minlength=1)
    taken = np.bincount(labels[chosen], minlength=len(sizes))
    emptied = np.flatnonzero((taken == sizes) & (sizes > 0))
    back = [np.flatnonzero(labels[chosen] == label)[-1] for label in emptied]
    return np.delete(chosen, back)
