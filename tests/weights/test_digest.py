import sys
import types

import h5py
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from cnn_jax.weights import WeightsError, weights_digest

ARRAYS = {
    "fc/0": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fc/1": np.array([1.5, -0.0, np.nan], np.float32),
    "steps/0": np.array(7, np.int64),
}


def safetensors(path, arrays=ARRAYS, **metadata):
    save_file(arrays, path, metadata)
    return path


def pth(path, arrays, monkeypatch):
    """A file that a stand-in for `torch` reads as these arrays."""

    class Tensor:
        def __init__(self, array):
            self.array = array

        def is_floating_point(self):
            return self.array.dtype.kind == "f"

        def float(self):
            return Tensor(self.array.astype(np.float32))

        def __getattr__(self, name):  # detach, cpu, contiguous: nothing to do
            return lambda *_, **__: self

        def numpy(self):
            return self.array

    module = types.ModuleType("torch")
    module.Tensor, module.load = Tensor, lambda *_, **__: {k: Tensor(v) for k, v in arrays.items()}
    monkeypatch.setitem(sys.modules, "torch", module)
    path.write_bytes(b"PK")
    return path


def keras(path, arrays):
    """An `.h5` file whose layer LAYER holds the arrays LAYER/0, LAYER/1 and so on."""
    with h5py.File(path, "w") as file:
        layers = sorted({name.split("/")[0] for name in arrays})
        file.attrs["layer_names"] = layers
        for layer in layers:
            group = file.create_group(layer)
            mine = sorted(name for name in arrays if name.startswith(f"{layer}/"))
            group.attrs["weight_names"] = [f"w{name.split('/')[1]}" for name in mine]
            for name in mine:
                group[f"w{name.split('/')[1]}"] = arrays[name]
    return path


def test_the_digest_is_the_same_for_ever(tmp_path):
    # In the identity of every run that starts from such a file.
    expected = "0a7204127e40755ed793ef770e1d1171"
    assert weights_digest(safetensors(tmp_path / "a.safetensors")).startswith(expected)


def test_name_order_and_metadata_of_the_file_do_not_count(tmp_path):
    backwards = dict(reversed(ARRAYS.items()))
    other = safetensors(tmp_path / "b.safetensors", backwards, network="lenet5")
    first = safetensors(tmp_path / "a.safetensors")
    assert other.read_bytes() != first.read_bytes()
    assert weights_digest(other) == weights_digest(first)


def test_kinds_of_files_agree(tmp_path, monkeypatch):
    digests = {
        weights_digest(safetensors(tmp_path / "a.safetensors")),
        weights_digest(pth(tmp_path / "a.pth", ARRAYS, monkeypatch)),
        weights_digest(keras(tmp_path / "a.h5", ARRAYS)),
    }
    assert len(digests) == 1


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
def test_half_precision_counts_as_the_float32_that_it_is_read_as(tmp_path, dtype):
    half = {"w": np.array([1.0, 0.1, -3.0]).astype(dtype)}
    wide = {"w": half["w"].astype(np.float32)}
    assert weights_digest(safetensors(tmp_path / "h.safetensors", half)) == weights_digest(
        safetensors(tmp_path / "w.safetensors", wide)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"fc/0": np.nextafter(ARRAYS["fc/0"], np.float32(9))},
        {"fc/0": ARRAYS["fc/0"].reshape(3, 2)},
        {"fc/0": ARRAYS["fc/0"].astype(np.float64)},
        {"fc/1": np.array([1.5, 0.0, np.nan], np.float32)},
        {"more": np.zeros(0, np.float32)},
        {"fc/0": ARRAYS["fc/1"], "fc/1": ARRAYS["fc/0"]},
    ],
    ids=["a bit", "shape", "dtype", "sign of zero", "an empty array", "names exchanged"],
)
def test_names_dtypes_shapes_and_bits_count(tmp_path, change):
    first = weights_digest(safetensors(tmp_path / "a.safetensors"))
    assert weights_digest(safetensors(tmp_path / "b.safetensors", ARRAYS | change)) != first


def test_the_layout_in_memory_does_not_count(tmp_path, monkeypatch):
    fortran = {"w": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))}
    big = {"w": fortran["w"].astype(">f4")}
    plain = weights_digest(safetensors(tmp_path / "a.safetensors", {"w": np.ascontiguousarray(fortran["w"])}))
    assert weights_digest(pth(tmp_path / "f.pth", fortran, monkeypatch)) == plain
    assert weights_digest(pth(tmp_path / "b.pth", big, monkeypatch)) == plain


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    path = safetensors(tmp_path / "a.safetensors")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="no complete safetensors file"):
        weights_digest(path)
    with pytest.raises(WeightsError, match="numbers of the kind 'F8_E4M3'"):
        weights_digest(safetensors(tmp_path / "f8.safetensors", {"w": np.ones(2).astype(ml_dtypes.float8_e4m3fn)}))
    with pytest.raises(WeightsError, match="no file"):
        weights_digest(tmp_path / "none.safetensors")
