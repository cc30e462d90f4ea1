"""What the doctor finds, and what it says to do."""

import json
from types import SimpleNamespace

import jax
import pytest

from cnn_jax.cli import main
from cnn_jax.native.build import offer
from cnn_jax.runs.machine import doctor


def found(name):
    return next(finding for finding in doctor.findings() if finding.name == name)


def test_the_command_shows_what_there_is(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CNN_JAX_DATA", str(tmp_path / "sets"))
    assert main(["doctor", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["findings"]}
    assert f"jax {jax.__version__}" in rows["cnn_jax"]["found"] and rows["devices"]["found"].endswith(", cpu")
    assert str(tmp_path / "sets") in rows["data sets"]["found"] and "threads" in rows["decoding"]["found"]
    assert main(["doctor"]) == 0
    assert "what to do" in capsys.readouterr().out


def test_whether_convolutions_are_computed_in_cpp_is_shown(monkeypatch):
    monkeypatch.delenv("CNN_JAX_NATIVE", raising=False)
    assert found("kernels in C++").found == str(offer())
    monkeypatch.setenv("CNN_JAX_NATIVE", "0")
    assert found("kernels in C++").found == "none: CNN_JAX_NATIVE=0"


@pytest.mark.parametrize(("device", "extra"), [("NVIDIA GPU", "cuda"), ("TPU", "tpu")])
def test_an_accelerator_that_jax_does_not_use_is_missed(monkeypatch, tmp_path, device, extra):
    (tmp_path / "device0").touch()
    monkeypatch.setitem(doctor._DEVICES, device, (f"{tmp_path}/device[0-9]*", *doctor._DEVICES[device][1:]))
    monkeypatch.setattr(doctor, "find_spec", lambda module: None)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    assert found(device).remedy.startswith(f"`uv sync --extra {extra}`")
    monkeypatch.setattr(doctor, "find_spec", lambda module: module)
    assert found(device).remedy.startswith(f"`JAX_PLATFORMS={extra} cnn-jax doctor --debug` says why")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert found(device).remedy.startswith("unset JAX_PLATFORMS, which is cpu; else `JAX_PLATFORMS")


H100 = {"cuda": "13.0.0", "driver": "580.65.06", "driver_cuda": "13.1.0", "cudnn": "9.24.0"}


@pytest.mark.parametrize(
    ("here", "lines"),
    [
        (H100, {"driver": "580.65.06, for CUDA up to 13.1.0", "CUDA": "13.0.0", "cuDNN": "9.24.0"}),
        (
            H100 | {"driver": None, "cudnn": None},
            {"driver": "version unknown, for CUDA up to 13.1.0", "CUDA": "13.0.0", "cuDNN": "not found"},
        ),
        ({"libtpu": "0.0.50.1"}, {"driver": "a runtime", "plugin": "libtpu 0.0.50.1"}),
    ],
    ids=["gpu", "gpu that tells less", "tpu"],
)
def test_what_drives_an_accelerator_is_shown(monkeypatch, here, lines):
    stats = {"bytes_limit": 79 * 2**30}
    device = SimpleNamespace(platform="gpu", device_kind="H100", memory_stats=lambda: stats)
    known = doctor.environment() | {"platform": "a runtime", "device": "H100"} | here
    monkeypatch.setattr(doctor, "environment", lambda: known)
    monkeypatch.setattr(doctor.jax, "devices", lambda: [device])
    monkeypatch.setattr(doctor.jax, "local_devices", lambda: [device])
    rows = {finding.name: finding.found for finding in doctor.findings()}
    assert lines.items() <= rows.items()
    assert rows["devices"] == "1 × H100, gpu" and rows["device memory"] == "79.0 GiB for JAX on each"


def test_without_an_accelerator_none_is_missed():
    assert not {"NVIDIA GPU", "TPU"} & {finding.name for finding in doctor.findings()}


def test_a_folder_that_cannot_be_written_and_what_is_not_installed_have_a_remedy(monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert found("data sets").remedy == "set $CNN_JAX_DATA to a folder of yours"
    assert found("extras").found == "none" and "tune (`cnn-jax tune`)" in found("not installed").found


def test_precision_on_an_accelerator_names_the_flag_for_float32(monkeypatch):
    assert found("precision").remedy == ""
    monkeypatch.setattr(doctor.jax, "default_backend", lambda: "gpu")
    assert "TF32" in found("precision").found and "--model.precision highest" in found("precision").remedy
