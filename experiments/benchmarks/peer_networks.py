"""The networks that the speed of training is compared on, as data: each peer builds them from its own library's layers.

A network is a list of layers; a layer is a tuple of a name and its numbers:
(conv, filters, window, stride, padding, bias), (norm,), (relu,), (tanh,), (max_pool, window, stride, padding, ceil),
(avg_pool, window), (mean,), (flatten,), (dropout, rate), (dense, width), (branches, lists…) beside each other,
(residual, branch, shortcut): their sum, then ReLU; the shortcut "pad" strides and adds channels of zeros.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

Layers = list[tuple[Any, ...]]
Step = Callable[[], Any]
"""Takes a training step, and gives its loss, which may still be under way: `float` waits for it."""


def conv_norm(filters: int, window: int, stride: int = 1, padding: int = 0) -> Layers:
    return [("conv", filters, window, stride, padding, False), ("norm",)]


def unit(*numbers: int) -> Layers:
    return [*conv_norm(*numbers), ("relu",)]


def resnet50() -> Layers:
    layers: Layers = [*unit(64, 7, 2, 3), ("max_pool", 3, 2, 1, False)]
    for stage, depth in enumerate((3, 4, 6, 3)):
        inner = 64 * 2**stage
        for block in range(depth):
            stride = 2 if stage and not block else 1
            branch = [*unit(inner, 1), *unit(inner, 3, stride, 1), *conv_norm(4 * inner, 1)]
            layers.append(("residual", branch, [] if block else conv_norm(4 * inner, 1, stride)))
    return [*layers, ("mean",), ("dense", 1000)]


def resnet20_cifar() -> Layers:
    layers = unit(16, 3, 1, 1)
    for stage in range(3):
        filters = 16 * 2**stage
        for block in range(3):
            grows = stage > 0 and block == 0
            branch = [*unit(filters, 3, 2 if grows else 1, 1), *conv_norm(filters, 3, 1, 1)]
            layers.append(("residual", branch, "pad" if grows else []))
    return [*layers, ("mean",), ("dense", 10)]


def lenet5() -> Layers:
    features: Layers = [("conv", 6, 5, 1, 2, True), ("tanh",), ("avg_pool", 2), ("conv", 16, 5, 1, 0, True), ("tanh",)]
    head: Layers = [("flatten",), ("dense", 120), ("tanh",), ("dense", 84), ("tanh",), ("dense", 10)]
    return [*features, ("avg_pool", 2), *head]


def alexnet() -> Layers:
    pool = ("max_pool", 3, 2, 0, False)
    layers: Layers = [("conv", 64, 11, 4, 2, True), ("relu",), pool, ("conv", 192, 5, 1, 2, True), ("relu",), pool]
    for filters in (384, 256, 256):
        layers += [("conv", filters, 3, 1, 1, True), ("relu",)]
    head: Layers = [("dropout", 0.5), ("dense", 4096), ("relu",)] * 2
    return [*layers, pool, ("flatten",), *head, ("dense", 1000)]


def vgg16() -> Layers:
    layers: Layers = []
    for filters, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers += [("conv", filters, 3, 1, 1, True), ("relu",)] * depth + [("max_pool", 2, 2, 0, False)]
    return [*layers, ("flatten",), *[("dense", 4096), ("relu",), ("dropout", 0.5)] * 2, ("dense", 1000)]


def googlenet() -> Layers:
    pool = ("max_pool", 3, 2, 0, True)

    def inception(one: int, reduce3: int, three: int, reduce5: int, five: int, projection: int) -> tuple[Any, ...]:
        middle = [unit(reduce3, 1) + unit(three, 3, 1, 1), unit(reduce5, 1) + unit(five, 3, 1, 1)]
        pooled = [("max_pool", 3, 1, 1, False), *unit(projection, 1)]
        return "branches", unit(one, 1), *middle, pooled

    return [
        *unit(64, 7, 2, 3), pool, *unit(64, 1), *unit(192, 3, 1, 1), pool,
        inception(64, 96, 128, 16, 32, 32), inception(128, 128, 192, 32, 96, 64), pool,
        inception(192, 96, 208, 16, 48, 64), inception(160, 112, 224, 24, 64, 64), inception(128, 128, 256, 24, 64, 64),
        inception(112, 144, 288, 32, 64, 64), inception(256, 160, 320, 32, 128, 128), ("max_pool", 2, 2, 0, True),
        inception(256, 160, 320, 32, 128, 128), inception(384, 192, 384, 48, 128, 128),
        ("mean",), ("dropout", 0.2), ("dense", 1000),
    ]  # fmt: skip


# name: (layers, channels and size of the images, batch of the comparison)
NETWORKS: dict[str, tuple[Callable[[], Layers], int, int, int]] = {
    "resnet50": (resnet50, 3, 224, 16),
    "resnet20_cifar": (resnet20_cifar, 3, 32, 128),
    "lenet5": (lenet5, 1, 28, 128),
    "vgg16": (vgg16, 3, 224, 8),
    "googlenet": (googlenet, 3, 224, 16),
    "alexnet": (alexnet, 3, 224, 16),
}


def median_ms(step: Step, steps: int, warmup: int = 2) -> float:
    """Milliseconds of a step that blocks until its loss is known: the median of so many, after the first ones."""
    times = []
    for _ in range(warmup + steps):
        start = time.perf_counter()
        float(step())
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[warmup:])


def main(prepare: Callable[[Layers, int, int, int, str], Step], peer: str, version: str) -> None:
    """The command line of a peer: `prepare(layers, batch, channels, size, dtype)` gives a step to call."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=NETWORKS)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--steps", type=int, default=8)
    given = parser.parse_args()
    network, channels, size, batch = NETWORKS[given.model]
    batch = given.batch or batch
    milliseconds = median_ms(prepare(network(), batch, channels, size, given.dtype), given.steps)
    figures = {"peer": peer, "version": version, "model": given.model, "batch": batch, "dtype": given.dtype}
    print(json.dumps(figures | {"step_ms_median": milliseconds, "images_per_s": 1e3 * batch / milliseconds}))
