"""What a file of weights holds, as one digest: of the arrays by name, whatever the kind of file."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cnn_jax.paths import local_path
from cnn_jax.weights.files import WeightsError, read_keras, read_torch


def weights_digest(path: Path | str) -> str:
    """SHA-256 over the arrays of a weights file by name, dtype, shape and little-endian bytes, in hexadecimal digits.

    The digest is part of the identity of a run that starts from the file: how it is made never changes. Files of
    different kinds that hold equal arrays under equal names have equal digests; float16 and bfloat16 count as the
    float32 that they are read as. Neither a file's name nor its metadata counts.

    Args:
      path: `.safetensors`, `.pth`, `.pt`, or Keras's `.h5`, whose arrays are named LAYER/0, LAYER/1, …

    Raises:
      WeightsError: for a file that cannot be read.
    """
    whole = hashlib.sha256()
    for name, array in _arrays(local_path(path, "FILE", utf8=False)):
        whole.update(json.dumps([name, *_describe(array)]).encode() + b"\n")
    return whole.hexdigest()


def _describe(array: np.ndarray) -> tuple[str, list[int], str]:
    """Dtype, shape, and the digest of the bytes."""
    if array.dtype.name in ("float16", "bfloat16"):
        array = array.astype(np.float32)
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return array.dtype.name, list(array.shape), hashlib.sha256(little.reshape(-1).view(np.uint8).data).hexdigest()


def _arrays(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Names and arrays in the order of the names; of a safetensors file one at a time is in memory."""
    if path.suffix == ".safetensors" and path.is_file():
        from safetensors import safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                for name in sorted(file.keys()):
                    yield name, file.get_tensor(name)
        except Exception as error:  # a strange header shows as every kind of exception
            read_torch(path)  # which says what is wrong
            raise WeightsError(f"`{path}` is no complete safetensors file: {error}.") from error
        return
    if path.suffix == ".h5":
        layers = read_keras(path)
        arrays = {f"{layer}/{i}": array for layer, found in layers.items() for i, array in enumerate(found)}
    else:
        arrays = read_torch(path)
    yield from sorted(arrays.items())
