import dataclasses
import json
from types import SimpleNamespace

import pytest

from cnn_jax.cli import main
from cnn_jax.runs import bench
from cnn_jax.runs.bench import time_steps
from cnn_jax.runs.machine.peaks import Peak

KEYS = ["model", "batch", "dtype", "conv"]
KEYS += ["step_ms_median", "step_ms_min", "images_per_s", "tflops", "peak_memory_mb", "compile_s"]
KEYS += ["device", "steps_per_call", "peak_tflops", "peak_arithmetic", "share_of_peak"]
KEYS += ["device_memory_mb", "device_peak_memory_mb"]


@pytest.mark.parametrize("conv", ["auto", pytest.param("xla", marks=pytest.mark.slow)])
def test_bench_prints_one_object_with_the_keys_that_scripts_read(capsys, conv):
    words = ["bench", "lenet5", "--batch", "4", "--image-size", "28", "--conv", conv, "--steps", "2", "--json"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out.splitlines()[-1])
    assert list(figures) == KEYS
    assert (figures["model"], figures["batch"], figures["dtype"], figures["conv"]) == ("lenet5", 4, "float32", conv)
    assert 0 < figures["step_ms_min"] <= figures["step_ms_median"]
    assert figures["images_per_s"] == pytest.approx(4 / figures["step_ms_median"] * 1e3, rel=0.01)
    macs = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 6 * 25 + 400 * 120 + 120 * 84 + 84 * 10  # LeNet-5's, by hand
    operations = 6 * 4 * macs  # three forward passes of four images, two operations each
    assert figures["tflops"] == pytest.approx(operations / figures["step_ms_median"] / 1e9, rel=0.01, abs=6e-5)
    assert "compiled" in err
    assert figures["device"] == "cpu" and figures["peak_tflops"] is figures["share_of_peak"] is None


def test_several_steps_are_one_call_of_which_each_has_its_part(capsys, monkeypatch):
    h100 = SimpleNamespace(
        device_kind="NVIDIA H100 80GB HBM3", memory_stats=lambda: {"bytes_in_use": 3e6, "peak_bytes_in_use": 4e6}
    )
    clock = iter(range(100))  # a call takes one second, as does compiling
    asked = []
    monkeypatch.setattr(bench, "find_peak", lambda *device: asked.append(device) or Peak(1e-4, "tf32", "a document"))
    monkeypatch.setattr(bench.jax, "devices", lambda *_: [h100])
    monkeypatch.setattr(bench.time, "perf_counter", lambda: float(next(clock)))
    assert main(["bench", "lenet5", "--batch", "4", "--conv", "xla", "--steps", "1", "--steps-per-call", "5"]) == 0
    out, err = capsys.readouterr()
    figures = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (figures["step_ms_median"], figures["images_per_s"], figures["steps_per_call"]) == ("200.0", "20.0", "5")
    assert asked == [("NVIDIA H100 80GB HBM3", "float32", None)]
    # 6 * 4 * 416,520 operations in a fifth of a second, of 1e8 a second.
    assert (figures["peak_tflops"], figures["peak_arithmetic"], figures["share_of_peak"]) == (
        "0.0001",
        "tf32",
        "0.4998",
    )
    assert (figures["device_memory_mb"], figures["device_peak_memory_mb"]) == ("3.0", "4.0")
    assert "3 + 1 calls of 5 steps" in err


@pytest.mark.slow
def test_bench_runs_in_half_precision_and_in_double():
    for dtype in ("bfloat16", "float64"):
        figures = dataclasses.asdict(time_steps("resnet8_cifar", batch=2, image_size=8, dtype=dtype, steps=1, warmup=0))
        assert figures["dtype"] == dtype and figures["peak_memory_mb"] > 0


def test_bench_refuses_numbers_that_make_no_sense(capsys):
    for flag in ("--batch", "--steps-per-call"):
        assert main(["bench", "lenet5", flag, "0"]) == 2
        assert f"`{flag}` is 0: it must be from 1" in capsys.readouterr().err
    assert main(["bench", "lenet6"]) == 2
    assert "did you mean lenet5" in capsys.readouterr().err
