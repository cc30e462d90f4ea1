"""torchvision's networks against ours: the same weights, statistics and images, every named feature.

    python3.11 -m venv .torchvision && .torchvision/bin/pip install torch==2.14.1 torchvision==0.29.1 safetensors numpy
    CNN_JAX_TORCHVISION=.torchvision/bin/python uv run pytest -m parity tests/parity

writes the table of largest differences into the README. Without the variable, it needs torchvision beside itself.
"""

import functools
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import pytest

from cnn_jax.models import ModelOptions, create_model
from cnn_jax.modules import Dropout
from cnn_jax.weights import load_weights, save_weights

pytestmark = pytest.mark.parity
README = Path(__file__).parents[2] / "README.md"
SIDE = Path(__file__).with_name("torchvision_side.py")
# What is compiled here runs twice.
QUICK_COMPILE = {"xla_backend_optimization_level": 1, "xla_llvm_disable_expensive_passes": True}
# Relative to the largest value of the feature: what is left is the order in which float32 sums are taken.
TOLERANCE = 1e-4

SIZES = {
    "alexnet": (64, 224),
    **dict.fromkeys([f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn")], (64, 97)),
    "googlenet": (64, 97),
    "inception_v3": (299, 331),
    **dict.fromkeys([f"resnet{depth}" for depth in (18, 34, 50, 101, 152)], (64, 97)),
    **dict.fromkeys(["resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2"], (64, 97)),
}


def torchvision(*arguments: object) -> None:
    """Runs the other side; skips where there is no torchvision."""
    python = os.environ.get("CNN_JAX_TORCHVISION")
    if python is None and importlib.util.find_spec("torchvision") is None:
        pytest.skip("set CNN_JAX_TORCHVISION to a Python that has torchvision")
    command = [python or sys.executable, str(SIDE), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def table():
    """Collects a row for each network that passes, and puts them into the README's table; other rows stay."""
    rows: dict[str, dict[str, float]] = {}
    yield rows
    lines = {}
    for name, row in rows.items():
        worst, sizes = max(row, key=row.get), ", ".join(map(str, SIZES[name]))
        lines[name] = f"| `{name}` | {sizes} | {row['logits']:.1e} | {row[worst]:.1e} (`{worst}`) |"

    def update(match: re.Match) -> str:
        older = {line.split("`")[1]: line for line in match[2].splitlines() if line.startswith("| `")}
        kept = [(older | lines)[name] for name in SIZES if name in older | lines]
        head = ["| network | image sizes | logits | worst feature |", "|---|---|---|---|"]
        return match[1] + "\n".join([*head, *kept]) + "\n" + match[3]

    marked = re.compile(r"(<!-- parity: .*? -->\n)(.*?)(<!-- /parity -->)", re.DOTALL)
    text, count = marked.subn(update, README.read_text())
    assert count == 1, "README.md has lost the markers of the parity table"
    README.write_text(text)


def without_dropout(call, arguments, keywords, context):
    """Interceptor: training mode, as the auxiliary heads want it, but nothing dropped."""
    return arguments[0] if isinstance(context.module, Dropout) else call(*arguments, **keywords)


@pytest.mark.parametrize("name", SIZES)
def test_features_equal_torchvisions_and_the_way_back_is_strict(name, table, tmp_path):
    torchvision("features", name, tmp_path, *SIZES[name])
    aux = True if name in ("googlenet", "inception_v3") else None
    model = create_model(name, 10, options=ModelOptions(aux=aux, frozen_norm=True))
    variables = load_weights(tmp_path / "weights.safetensors", model)

    @functools.partial(jax.jit, static_argnames="train", compiler_options=QUICK_COMPILE)
    def run(variables, images, train):
        with nn.intercept_methods(without_dropout):
            return model.apply(variables, images, train=train, mutable=["features", "batch_stats"])[1]["features"]

    worst: dict[str, float] = {}
    for size in SIZES[name]:
        with np.load(tmp_path / f"{size}.npz") as expected:
            got = run(variables, expected["images"], bool(aux))
            assert set(got) == set(expected) - {"images"}
            for feature, ours in got.items():
                theirs = expected[feature].reshape(ours.shape)
                difference = float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())
                worst[feature] = max(worst.get(feature, 0.0), difference)
    assert max(worst.values()) < TOLERANCE, worst
    save_weights(tmp_path / "back.safetensors", model, variables)
    torchvision("load", name, tmp_path / "back.safetensors", 10)
    again = load_weights(tmp_path / "back.safetensors", model)
    jax.tree.map(np.testing.assert_array_equal, variables, again)
    table[name] = worst
    for file in tmp_path.iterdir():
        file.unlink()
