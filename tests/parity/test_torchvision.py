"""torchvision's networks against ours: the same weights, statistics and images, every named feature.

    python3.11 -m venv .torchvision
    .torchvision/bin/pip install torch==2.14.1 torchvision==0.29.1 timm==1.0.31 safetensors numpy
    CNN_JAX_TORCHVISION=.torchvision/bin/python uv run pytest -m parity tests/parity

writes the tables of largest differences into this folder's README. Without the variable, it needs torchvision
beside itself.
"""

import jax
import numpy as np
import pytest
from comparison import RESNETS, VGGS, WIDER, largest_differences, other_side, readme_table

from cnn_jax.models import create_model
from cnn_jax.ops import context
from cnn_jax.weights import load_weights, save_weights

pytestmark = pytest.mark.parity

SIZES = {
    "alexnet": (64, 224),
    **VGGS,
    "googlenet": (64, 97),
    "inception_v3": (299, 331),
    **RESNETS,
    **WIDER,
}


@pytest.fixture(scope="module")
def table():
    with readme_table("torchvision", SIZES) as rows:
        yield rows


@pytest.mark.parametrize("name", SIZES)
def test_features_equal_torchvisions_and_the_way_back_is_strict(name, table, tmp_path):
    other_side("torchvision_side.py", "features", name, tmp_path, *SIZES[name])
    aux = True if name in ("googlenet", "inception_v3") else None
    model = create_model(name, 10, options={"aux": aux})
    variables = load_weights(tmp_path / "weights.safetensors", model)
    with context(frozen_norm=True):
        worst = largest_differences(model, variables, tmp_path, SIZES[name], train=bool(aux))
    save_weights(tmp_path / "back.safetensors", model, variables)
    other_side("torchvision_side.py", "load", name, tmp_path / "back.safetensors", 10)
    again = load_weights(tmp_path / "back.safetensors", model)
    jax.tree.map(np.testing.assert_array_equal, variables, again)
    table[name] = worst
    for file in tmp_path.iterdir():
        file.unlink()
