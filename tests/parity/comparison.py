"""What the comparisons with PyTorch's libraries share: the other Python, the differences, this folder's tables."""

import contextlib
import fcntl
import functools
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import pytest

from cnn_jax.modules import Dropout

HERE = Path(__file__).parent
README = HERE / "README.md"
# What is compiled here runs twice.
QUICK_COMPILE = {"xla_backend_optimization_level": 1, "xla_llvm_disable_expensive_passes": True}
# Relative to the largest value of the feature: what is left is the order in which float32 sums are taken.
TOLERANCE = 1e-4
# Networks that both libraries have, and the image sizes they are compared at.
VGGS = dict.fromkeys([f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn")], (64, 97))
RESNETS = dict.fromkeys([f"resnet{depth}" for depth in (18, 34, 50, 101, 152)], (64, 97))
WIDER = dict.fromkeys(["resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2"], (64, 97))


def other_side(script: str, *arguments: object) -> str:
    """What a script of this folder prints in the Python that has PyTorch; skips where there is none."""
    python = os.environ.get("CNN_JAX_TORCHVISION")
    if python is None and importlib.util.find_spec("torchvision") is None:
        pytest.skip("set CNN_JAX_TORCHVISION to a Python that has torchvision and timm")
    command = [python or sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def without_dropout(call, arguments, keywords, context):
    """Interceptor: training mode, as the auxiliary heads want it, but nothing dropped."""
    return arguments[0] if isinstance(context.module, Dropout) else call(*arguments, **keywords)


def largest_differences(
    model: nn.Module, variables: Mapping[str, Any], folder: Path, sizes: tuple[int, ...], *, train: bool = False
) -> dict[str, float]:
    """The largest difference in each feature, relative to its largest value, over the sizes written to `folder`."""

    @functools.partial(jax.jit, compiler_options=QUICK_COMPILE)
    def run(variables, images):
        with nn.intercept_methods(without_dropout):
            return model.apply(variables, images, train=train, mutable=["features", "batch_stats"])[1]["features"]

    worst: dict[str, float] = {}
    for size in sizes:
        with np.load(folder / f"{size}.npz") as expected:
            got = run(variables, expected["images"])
            assert set(got) == set(expected) - {"images"}
            for feature, ours in got.items():
                theirs = expected[feature].reshape(ours.shape)
                difference = float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())
                worst[feature] = max(worst.get(feature, 0.0), difference)
    assert max(worst.values()) < TOLERANCE, worst
    return worst


@contextlib.contextmanager
def readme_table(library: str, sizes: Mapping[str, tuple[int, ...]]) -> Iterator[dict[str, dict[str, float]]]:
    """Collects a row for each network that passes, and puts them into this folder's table of a library; others stay."""
    rows: dict[str, dict[str, float]] = {}
    yield rows
    lines = {}
    for name, row in rows.items():
        worst, tried = max(row, key=row.__getitem__), ", ".join(map(str, sizes[name]))
        lines[name] = f"| `{name}` | {tried} | {row['logits']:.1e} | {row[worst]:.1e} (`{worst}`) |"

    def update(match: re.Match) -> str:
        older = {line.split("`")[1]: line for line in match[2].splitlines() if line.startswith("| `")}
        kept = [(older | lines)[name] for name in sizes if name in older | lines]
        head = [f"| {library} | image sizes | logits | worst feature |", "|---|---|---|---|"]
        return match[1] + "\n".join([*head, *kept]) + "\n" + match[3]

    marked = re.compile(rf"(<!-- parity, {library}: .*? -->\n)(.*?)(<!-- /parity -->)", re.DOTALL)
    with README.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the libraries are compared in processes of their own
        text, count = marked.subn(update, file.read())
        assert count == 1, f"{README} has lost the markers of {library}'s parity table"
        file.seek(0)
        file.write(text)
        file.truncate()
