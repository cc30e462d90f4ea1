"""Files of named tensors, read and written without any framework but for `.pth`."""

import os
import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.paths import local_path

Tensors = dict[str, np.ndarray]

# What safetensors calls the kinds of numbers that NumPy has.
_DTYPES = {f"{letter}{8 * size}": f"<{letter.lower()}{size}" for letter in "IU" for size in (1, 2, 4, 8)}
_DTYPES |= {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BOOL": "?"}


# The bytes in memory for each byte of a file. Weights are stored plain; compressed they are hardly smaller.
_MOST_PER_BYTE = 16
_HARMLESS = 1 << 20  # bytes that any file may ask for


class WeightsError(ValueError):
    """A weights file that cannot be used: the message says which tensors are wrong, or what to do."""


def read_torch(path: Path | str) -> Tensors:
    """The tensors of a `.safetensors` file, or of a `.pth` or `.pt` file (which needs the extra `torch`).

    A `.pth` file is a pickle. It is read with `weights_only=True`, PyTorch's restricted unpickler, which builds tensors
    and runs no code.

    Raises:
      WeightsError: for another kind of file, or one that is damaged.
    """
    path = local_path(path, "FILE", utf8=False)
    _check(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix not in (".pth", ".pt"):
        raise WeightsError(f"`{path}`: weights are read from .safetensors, .pth, .pt and .h5 files only.")
    try:
        import torch
    except ImportError:
        raise WeightsError(
            f"`{path}` needs PyTorch to be read: `uv run --extra torch cnn-jax …`, or `pip install torch`; "
            "or save it as .safetensors where PyTorch is."
        ) from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"`{path}` is refused: it is a pickle of other things than plain tensors, and reading one runs whatever "
            "code it names. If you trust it, load it in PyTorch and save `model.state_dict()`."
        ) from error
    except Exception as error:  # damage shows as every kind of exception
        reason = str(error).split(". ")[0]
        raise WeightsError(f"`{path}` is no complete file of PyTorch's: {reason}.") from error
    tensors = _state_dict(state, torch.Tensor, path)
    return _to_arrays(tensors, path)


def _to_arrays(tensors: Mapping[str, Any], path: Path) -> Tensors:
    """PyTorch's tensors as arrays; half precision becomes float32, which holds all of its values."""
    allowed, arrays = _most_bytes(path), {}
    for name, tensor in tensors.items():
        try:
            try:
                array = tensor.detach().numpy()
                num_bytes = array.nbytes
            except TypeError:  # NumPy has no bfloat16 of its own
                array, num_bytes = None, tensor.numel() * tensor.element_size()
            allowed -= num_bytes
            if allowed < 0:  # a tensor may show one number as many, by a stride of 0
                raise WeightsError(f"`{path}` is refused: at {name} it asks for far more memory than it has bytes.")
            array = tensor.detach().float().numpy() if array is None else array
        except WeightsError:
            raise
        except Exception as error:  # by kind of tensor: sparse, quantised, of no device, …
            raise WeightsError(f"`{path}`: {name} is no plain tensor of numbers: {error}.") from error
        arrays[name] = array.astype(np.float32) if array.dtype == np.float16 else array
    return arrays


def _read_safetensors(path: Path) -> Tensors:
    from safetensors import deserialize

    tensors = {}
    try:
        for name, about in deserialize(path.read_bytes()):
            data, shape = bytes(about["data"]), about["shape"]
            if about["dtype"] == "BF16":  # the upper half of a float32
                wide = np.frombuffer(data, "<u2").astype(np.uint32) << 16
                tensors[name] = wide.view(np.float32).reshape(shape)
            else:
                tensors[name] = np.frombuffer(data, _DTYPES[about["dtype"]]).reshape(shape)
    except KeyError as error:
        raise WeightsError(f"`{path}` holds numbers of the kind {error}; save it with float32 or bfloat16.") from error
    except Exception as error:  # a strange header shows as every kind of exception
        raise WeightsError(f"`{path}` is no complete safetensors file: {error}.") from error
    return tensors


def read_metadata(path: Path | str) -> dict[str, str]:
    """The texts that a `.safetensors` file carries beside its tensors; none for other files.

    Raises:
      WeightsError: for a damaged file.
    """
    path = local_path(path, "FILE", utf8=False)
    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    from safetensors import safe_open

    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except Exception as error:
        raise WeightsError(f"`{path}` is no complete safetensors file: {error}.") from error


def _state_dict(state: Any, tensor: type, path: Path) -> dict[str, Any]:
    """The tensors by name, of a state dict or of the training checkpoint that holds one."""

    def is_state_dict(value: Any) -> bool:
        return isinstance(value, Mapping) and len(value) > 0 and all(isinstance(v, tensor) for v in value.values())

    if is_state_dict(state):
        return dict(state)
    if isinstance(state, Mapping):
        inner = [key for key, value in state.items() if is_state_dict(value)]
        if len(inner) == 1:
            return dict(state[inner[0]])
        if inner:
            raise WeightsError(
                f"`{path}` is a training checkpoint with more than one state dict, `{'`, `'.join(map(str, inner))}`; "
                "save the one that you mean by itself."
            )
        if keys := ", ".join(str(key) for key in list(state)[:8]):
            raise WeightsError(f"`{path}` holds no state dict; save `model.state_dict()`. Its keys are {keys}.")
    raise WeightsError(f"`{path}` holds no state dict; save `model.state_dict()`.")


def read_keras(path: Path | str) -> dict[str, list[np.ndarray]]:
    """The tensors of each layer of a Keras file, in the layer's own order: `.weights.h5`, or the older `.h5`.

    Raises:
      WeightsError: for a file that is damaged, or not Keras's, and without h5py (the extra `keras`).
    """
    path = local_path(path, "FILE", utf8=False)
    _check(path)
    try:
        import h5py
    except ImportError:
        raise WeightsError(
            f"`{path}` needs h5py to be read: `uv run --extra keras cnn-jax …`, or `pip install 'cnn-jax[keras]'`."
        ) from None

    from cnn_jax.weights.hdf5 import Reader

    try:
        with h5py.File(path) as file:
            read = Reader(file, path, _most_bytes(path))
            root = file.get("model_weights", file)
            if "layer_names" in root.attrs:
                names = [_text(name) for name in root.attrs["layer_names"]]
                found = {n: [read(root[n][_text(w)]) for w in root[n].attrs["weight_names"]] for n in names}
            elif "layers" in root:
                variables = [group["vars"] for group in root["layers"].values() if "vars" in group]
                found = {_text(v.attrs["name"]): [read(v[str(i)]) for i in range(len(v))] for v in variables if len(v)}
            else:
                raise WeightsError(f"`{path}` is an HDF5 file, but none that Keras wrote.")
    except WeightsError:
        raise
    except Exception as error:  # damage shows as every kind of exception
        raise WeightsError(f"`{path}` is no complete Keras file: {error}") from error
    return {name: tensors for name, tensors in found.items() if tensors}


def write_safetensors(path: Path | str, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a `.safetensors` file in one piece: under another name first, so that no half-written file is left.

    Args:
      metadata: texts that go with the tensors.

    Raises:
      WeightsError: for another suffix, or a folder that does not exist.
    """
    from safetensors.numpy import save_file

    path = local_path(path, "FILE", utf8=False)
    if path.suffix != ".safetensors":
        raise WeightsError(f"weights are written as .safetensors, got `{path}`.")
    if not path.parent.is_dir():
        raise WeightsError(f"`{path.parent}` is no folder; make it first.")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        arrays = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        save_file(arrays, temporary, {"format": "pt", **(metadata or {})})
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _check(path: Path) -> None:
    if not path.is_file():
        raise WeightsError(f"there is no file `{path}`.")


def _most_bytes(path: Path) -> int:
    return max(_HARMLESS, _MOST_PER_BYTE * path.stat().st_size)


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
