"""What makers say their devices compute at most, to measure a step against.

Of multiplications and additions, two operations each, without sparsity: where a document states a number "with
sparsity", half of it stands here.
"""

import re
from typing import NamedTuple


class Peak(NamedTuple):
    """The most that a device computes in a dtype."""

    tflops: float
    arithmetic: str
    """In which it computes products: the dtype, or `tf32`, or, of float32 on a TPU, `bfloat16`."""
    source: str


def _gpu(half: float, tf32: float, float32: float) -> dict[str, float]:
    return {"bfloat16": half, "float16": half, "tf32": tf32, "float32": float32}


_V100 = "NVIDIA V100 Tensor Core GPU, datasheet"
_A100 = "NVIDIA A100 Tensor Core GPU, datasheet"
_H100 = "NVIDIA H100 Tensor Core GPU, datasheet"
_H200 = "NVIDIA H200 Tensor Core GPU, datasheet"
_TPU = "Google Cloud, TPU architecture: TPU {}, peak compute per chip (bf16)"

# By the whole name that JAX gives to a device: a part of one (MIG) has another, and no row.
PEAKS: dict[str, tuple[dict[str, float], str]] = {
    r"Tesla V100-SXM2-(16|32)GB": ({"float16": 125, "float32": 15.7}, _V100),
    r"Tesla V100-PCIE-(16|32)GB": ({"float16": 112, "float32": 14}, _V100),
    r"(NVIDIA )?A100-(SXM4-40GB|SXM4-80GB|PCIE-40GB)|NVIDIA A100 80GB PCIe": (_gpu(312, 156, 19.5), _A100),
    r"NVIDIA H100 80GB HBM3": (_gpu(1979 / 2, 989 / 2, 67), f"{_H100}, SXM"),
    r"NVIDIA H100 PCIe": (_gpu(1513 / 2, 756 / 2, 51), f"{_H100}, PCIe"),
    r"NVIDIA H200": (_gpu(1979 / 2, 989 / 2, 67), f"{_H200}, SXM"),
    r"NVIDIA B200": (_gpu(4500 / 2, 2200 / 2, 75), "NVIDIA Blackwell, datasheet, HGX B200"),
    r"NVIDIA L4": (_gpu(242 / 2, 120 / 2, 30.3), "NVIDIA L4 Tensor Core GPU, datasheet"),
    r"TPU v4": ({"bfloat16": 275}, _TPU.format("v4")),
    r"TPU v5( lite|e)": ({"bfloat16": 197}, _TPU.format("v5e")),
    r"TPU v5p?": ({"bfloat16": 459}, _TPU.format("v5p")),
    r"TPU v6( lite|e)": ({"bfloat16": 918}, _TPU.format("v6e")),
}


def find_peak(device_kind: str, dtype: str, precision: str | None = None) -> Peak | None:
    """The peak of a device in a dtype; None where no maker's document is known, as of CPUs.

    Args:
      device_kind: as JAX names the device.
      dtype: of the computation.
      precision: of float32 products, as `jax_default_matmul_precision` has it.
    """
    rows = (row for pattern, row in PEAKS.items() if re.fullmatch(pattern, device_kind))
    tflops, source = next(rows, ({}, ""))
    if dtype == "float32" and precision not in ("float32", "highest"):
        dtype = "bfloat16" if device_kind.startswith("TPU") else "tf32" if "tf32" in tflops else dtype
    return Peak(tflops[dtype], dtype, source) if dtype in tflops else None
