"""Peaks are found by the whole name of a device, in the arithmetic that it computes in."""

import re

import pytest

from cnn_jax.runs.machine.peaks import PEAKS, find_peak


@pytest.mark.parametrize(
    ("kind", "dtype", "precision", "tflops", "arithmetic"),
    [
        ("NVIDIA A100-SXM4-80GB", "bfloat16", None, 312, "bfloat16"),
        ("NVIDIA H100 80GB HBM3", "bfloat16", None, 989.5, "bfloat16"),
        ("NVIDIA H100 80GB HBM3", "float32", None, 494.5, "tf32"),
        ("NVIDIA H100 80GB HBM3", "float32", "high", 494.5, "tf32"),
        ("NVIDIA H100 80GB HBM3", "float32", "highest", 67, "float32"),
        ("NVIDIA H100 PCIe", "float16", None, 756.5, "float16"),
        ("Tesla V100-SXM2-16GB", "float32", None, 15.7, "float32"),  # has no TF32
        ("TPU v5 lite", "float32", None, 197, "bfloat16"),
        ("TPU v5", "bfloat16", None, 459, "bfloat16"),
    ],
)
def test_a_known_device_has_its_makers_figure(kind, dtype, precision, tflops, arithmetic):
    peak = find_peak(kind, dtype, precision)
    assert (peak.tflops, peak.arithmetic) == (tflops, arithmetic)
    assert "datasheet" in peak.source or "Google Cloud" in peak.source


@pytest.mark.parametrize(
    ("kind", "dtype", "precision"),
    [
        ("cpu", "float32", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bfloat16", None),  # a part of one
        ("NVIDIA H100 80GB HBM3", "float64", None),
        ("Tesla V100-SXM2-16GB", "bfloat16", None),
        ("TPU v4", "float32", "highest"),
    ],
)
def test_what_no_document_states_is_none(kind, dtype, precision):
    assert find_peak(kind, dtype, precision) is None


def test_no_device_has_two_rows():
    kinds = [f"{maker}{kind}" for maker in ("", "NVIDIA ") for kind in ("A100-SXM4-40GB", "H200", "B200", "L4")]
    kinds += [f"TPU {version}" for version in ("v4", "v5", "v5e", "v5p", "v5 lite", "v6e", "v6 lite")]
    for kind in kinds:
        assert sum(re.fullmatch(pattern, kind) is not None for pattern in PEAKS) <= 1
