"""A split of image files: records fetched by random access, decoded and cropped by a pool of threads."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from cnn_jax.data.dataset import DatasetInfo
from cnn_jax.data.decoding.decode import decode_crop, example_uniforms
from cnn_jax.data.decoding.host_crop import HostCrop
from cnn_jax.data.errors import DataError
from cnn_jax.data.store.arrays import readable_records
from cnn_jax.logs import untouched_logging


class EncodedDataset:
    """A split whose images are decoded when they are asked for; each is [H, W, 3] as its `HostCrop` makes it.

    What comes out depends on (seed, epoch, index) alone, not on the number of threads.
    """

    def __init__(
        self,
        folder: Path,
        stored_split: str,
        labels: Int[np.ndarray, " n"],
        info: DatasetInfo,
        crop: HostCrop,
        *,
        rows: Int[np.ndarray, " m"] | None = None,
        num_threads: int | None = None,
    ) -> None:
        """Open the records of `stored_split` in the prepared `folder`.

        Args:
          labels: of all stored examples.
          info: of this split; its `image_shape` becomes that of the crop.
          rows: which stored examples belong to this split, in order; None means all of them.
          num_threads: that decode; None takes one for each processor of this process.
        """
        with readable_records(folder):
            self._source = _open_records(folder, stored_split)
            if len(self._source) != len(labels):
                raise ValueError(f"{len(self._source)} in place of {len(labels)} examples of {stored_split}")
        self._rows = rows
        self._crop = crop
        self._folder = folder
        self._num_threads = num_threads or available_processors()
        self._pool = ThreadPoolExecutor(self._num_threads, thread_name_prefix="decode")
        self.labels = np.ascontiguousarray(labels if rows is None else labels[rows], np.int32)
        self.info = replace(info, image_shape=crop.image_shape)

    def __len__(self) -> int:
        return len(self.labels)

    def file_names(self) -> list[str]:
        """What each example's file is called in the set, read from its record; empty where that does not say."""
        rows = range(len(self)) if self._rows is None else self._rows
        with readable_records(self._folder):
            return [_file_name(_parse(self._source[int(stored)])) for stored in rows]

    def images(
        self, indices: Int[np.ndarray, " b"], *, epoch: Int[np.ndarray, " b"] | None = None, seed: int = 0
    ) -> UInt8[np.ndarray, "b h w 3"]:
        """Decode the images at `indices`, each cropped by what (seed, epoch, index) draws.

        Raises:
          DataError: for a random crop without `epoch`, or an image that cannot be decoded any more.
        """
        if self._crop.random and epoch is None:
            raise DataError(
                "a random crop needs the epoch; for evaluation begin with resize_shorter(…), center_crop(…)."
            )
        out = np.empty((len(indices), *self.info.image_shape), np.uint8)

        def decode(position: int) -> None:
            index = int(indices[position])
            uniforms = example_uniforms(seed, int(epoch[position]) if epoch is not None else 0, index)
            self._decode(index, uniforms, out[position])

        parallel_for(self._pool, self._num_threads, decode, len(indices))
        return out

    def _decode(self, index: int, uniforms: np.ndarray, out: UInt8[np.ndarray, "h w 3"]) -> None:
        stored = index if self._rows is None else int(self._rows[index])
        with readable_records(self._folder):
            record = _parse(self._source[stored])
        where = f"{_file_name(record)} (example {stored} of {self._folder})"
        decode_crop(record["image"], where, self._crop, uniforms, out)


@untouched_logging()
def _open_records(folder: Path, split: str) -> Any:
    import tensorflow_datasets as tfds

    method = tfds.decode.DeserializeMethod.RAW_BYTES
    return tfds.builder_from_directory(folder).as_data_source(split, deserialize_method=method)


def _parse(record: bytes) -> dict[str, bytes]:
    """What a record holds as bytes: the image file, and its name.

    TFDS itself makes arrays of all that is in it: read and parsed so, a record of 62 kB takes 140 µs, and 50 here.
    """
    from tensorflow_datasets.proto import tf_example_pb2

    features = tf_example_pb2.Example.FromString(record).features.feature
    return {name: features[name].bytes_list.value[0] for name in ("image", "file_name") if name in features}


def _file_name(record: dict[str, bytes]) -> str:
    return record.get("file_name", b"").decode()


def parallel_for(pool: ThreadPoolExecutor, num_threads: int, work: Callable[[int], None], count: int) -> None:
    """Call work(0) … work(count − 1) in the threads of a pool, each as soon as a thread is free.

    One task a thread, which takes number after number: a task a number would keep Python busy.
    """
    waiting = deque(range(count))

    def take() -> None:
        while True:
            try:
                number = waiting.popleft()
            except IndexError:  # all are taken
                return
            work(number)

    for task in [pool.submit(take) for _ in range(min(num_threads, count))]:
        task.result()  # raises what a thread raised


def available_processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
