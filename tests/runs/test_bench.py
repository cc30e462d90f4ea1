import dataclasses
import json

import pytest

from cnn_jax.cli import main
from cnn_jax.runs.bench import time_steps

KEYS = ["model", "batch", "dtype", "conv"]
KEYS += ["step_ms_median", "step_ms_min", "images_per_s", "tflops", "peak_memory_mb", "compile_s"]


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


@pytest.mark.slow
def test_bench_runs_in_half_precision_and_in_double():
    for dtype in ("bfloat16", "float64"):
        figures = dataclasses.asdict(time_steps("resnet8_cifar", batch=2, image_size=8, dtype=dtype, steps=1, warmup=0))
        assert figures["dtype"] == dtype and figures["peak_memory_mb"] > 0


def test_bench_refuses_numbers_that_make_no_sense(capsys):
    assert main(["bench", "lenet5", "--batch", "0"]) == 2
    assert "`--batch` is 0: it must be from 1" in capsys.readouterr().err
    assert main(["bench", "lenet6"]) == 2
    assert "did you mean lenet5" in capsys.readouterr().err
