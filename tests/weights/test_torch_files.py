"""PyTorch's own files, read by a stand-in for `torch`: what matters is what it is asked for, and what it may answer.

With the real one: tests/parity/test_pth.py.
"""

import pickle
import sys
import types

import numpy as np
import pytest

from cnn_jax.models import create_model
from cnn_jax.weights import WeightsError, load_weights
from cnn_jax.weights.files import read_keras, read_torch


class Tensor:
    """As much of `torch.Tensor` as the reader needs."""

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    def is_floating_point(self):
        return self.array.dtype.kind == "f"

    def float(self):
        return Tensor(self.array.astype(np.float32))

    def numpy(self):
        return self.array


@pytest.fixture
def torch(monkeypatch):
    """A module `torch` whose `load` notes how it was called, and refuses every pickle, as `weights_only=True` does."""
    module = types.ModuleType("torch")
    module.Tensor, module.calls, module.answer = Tensor, [], {}

    def load(path, **keywords):
        module.calls.append(keywords)
        if path.read_bytes() == b"cut":
            raise RuntimeError("failed finding central directory. A long explanation.")
        if path.read_bytes().startswith(b"\x80"):
            raise pickle.UnpicklingError("Weights only load failed.\nA long explanation.")
        return module.answer

    module.load = load
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


def test_only_plain_tensors_are_asked_for(torch, tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(b"PK")
    torch.answer = {"fc.bias": Tensor(np.arange(3, dtype=np.float16))}
    (tensor,) = read_torch(path).values()
    assert torch.calls == [{"map_location": "cpu", "weights_only": True}]
    assert tensor.tolist() == [0, 1, 2]


@pytest.mark.parametrize("answer", [{"epoch": 3}, [1], {"state_dict": {}}])
def test_other_objects_are_refused(torch, tmp_path, answer):
    path = tmp_path / "a.pt"
    path.write_bytes(b"PK")
    torch.answer = answer
    with pytest.raises(WeightsError, match=r"holds no state dict; save `model.state_dict\(\)`"):
        read_torch(path)


def test_a_damaged_file_is_described(torch, tmp_path):
    (tmp_path / "a.pth").write_bytes(b"cut")
    with pytest.raises(WeightsError, match=r"is no complete file of PyTorch's: failed finding central directory\.$"):
        read_torch(tmp_path / "a.pth")


def test_double_precision_is_kept(torch, tmp_path):
    (tmp_path / "a.pth").write_bytes(b"PK")
    torch.answer = {"a": Tensor(np.array([1 + 2**-40]))}
    assert read_torch(tmp_path / "a.pth")["a"].tolist() == [1 + 2**-40]


class Bfloat16(Tensor):
    """What NumPy has no numbers for; the array of float32 holds the same values."""

    def numpy(self):
        raise TypeError("Got unsupported ScalarType BFloat16")

    def float(self):
        return Tensor(self.array)

    def numel(self):
        return self.array.size

    def element_size(self):
        return 2


def test_bfloat16_is_widened(torch, tmp_path):
    (tmp_path / "a.pth").write_bytes(b"PK")
    torch.answer = {"a": Bfloat16(np.ones(3, np.float32))}
    assert read_torch(tmp_path / "a.pth")["a"].dtype == np.float32


@pytest.mark.parametrize("kind", [Tensor, Bfloat16])
def test_one_number_shown_as_many_is_refused(torch, tmp_path, kind):
    (tmp_path / "a.pth").write_bytes(b"PK" * 100)
    torch.answer = {"a": kind(np.broadcast_to(np.float32(1), (10**6, 10**6)))}  # by a stride of 0
    with pytest.raises(WeightsError, match="at a it asks for far more memory than it has bytes"):
        read_torch(tmp_path / "a.pth")


class Sparse(Tensor):
    def numpy(self):
        raise TypeError("can't convert Sparse layout tensor to numpy.")

    def numel(self):
        raise RuntimeError("numel() is not supported")


def test_tensor_of_another_layout_is_named(torch, tmp_path):
    (tmp_path / "a.pth").write_bytes(b"PK")
    torch.answer = {"a": Sparse(np.ones(3))}
    with pytest.raises(WeightsError, match="a is no plain tensor of numbers: numel"):
        read_torch(tmp_path / "a.pth")


class Malice:
    """Writes a file when unpickled without restraint."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (self.target, "w")


REFUSED = "is refused: it is a pickle of other things than plain tensors"
UNKNOWN = r"weights are read from \.safetensors, \.pth, \.pt and \.h5 files only"


@pytest.mark.parametrize(
    ("suffix", "message"), [(".pth", REFUSED), (".pt", REFUSED), (".pkl", UNKNOWN), (".bin", UNKNOWN)]
)
def test_a_pickle_is_refused_and_never_run(torch, tmp_path, suffix, message):
    path, target = tmp_path / f"a{suffix}", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Malice(str(target))))
    with pytest.raises(WeightsError, match=message) as error:
        load_weights(path, create_model("lenet5"))
    assert "Weights only" not in str(error.value) and not target.exists()


def test_without_torch_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "a.pth").write_bytes(b"PK")
    with pytest.raises(WeightsError, match=r"needs PyTorch to be read: `uv run --extra torch cnn-jax …`"):
        read_torch(tmp_path / "a.pth")


def test_without_h5py_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a.h5").write_bytes(b"\x89HDF")
    with pytest.raises(WeightsError, match=r"needs h5py to be read: .*`pip install 'cnn-jax\[keras\]'`"):
        read_keras(tmp_path / "a.h5")
