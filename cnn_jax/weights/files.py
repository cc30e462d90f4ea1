"""Files of named tensors, read and written without any framework but for `.pth`."""

import json
import os
import pickle
import tempfile
from pathlib import Path

import numpy as np

from cnn_jax.paths import local_path

Tensors = dict[str, np.ndarray]


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
        from safetensors import SafetensorError, numpy

        try:
            return numpy.load_file(path)
        except (SafetensorError, json.JSONDecodeError) as error:
            raise WeightsError(f"`{path}` is no complete safetensors file: {error}.") from error
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
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise WeightsError(f"`{path}` holds no state dict; save `model.state_dict()`.")
    # NumPy has no bfloat16 of its own; float32 holds all of its values.
    return {name: (t.float() if t.is_floating_point() else t).detach().numpy() for name, t in state.items()}


def read_keras(path: Path | str) -> dict[str, list[np.ndarray]]:
    """The tensors of each layer of a Keras file, in the layer's own order: `.weights.h5`, or the older `.h5`.

    Raises:
      WeightsError: for a file that is damaged, or not Keras's.
    """
    import h5py

    path = local_path(path, "FILE", utf8=False)
    _check(path)
    try:
        with h5py.File(path) as file:
            root = file.get("model_weights", file)
            if "layer_names" in root.attrs:
                names = [_text(name) for name in root.attrs["layer_names"]]
                found = {n: [root[n][_text(w)][()] for w in root[n].attrs["weight_names"]] for n in names}
            elif "layers" in root:
                variables = [group["vars"] for group in root["layers"].values() if "vars" in group]
                found = {_text(v.attrs["name"]): [v[str(i)][()] for i in range(len(v))] for v in variables if len(v)}
            else:
                raise WeightsError(f"`{path}` is an HDF5 file, but none that Keras wrote.")
    except (OSError, KeyError) as error:
        raise WeightsError(f"`{path}` is no complete Keras file: {error}") from error
    return {name: tensors for name, tensors in found.items() if tensors}


def write_safetensors(path: Path | str, tensors: Tensors) -> None:
    """Writes a `.safetensors` file in one piece: under another name first, so that no half-written file is left.

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
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, temporary, {"format": "pt"})
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _check(path: Path) -> None:
    if not path.is_file():
        raise WeightsError(f"there is no file `{path}`.")


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
