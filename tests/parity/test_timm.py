"""timm's networks against ours: its files are read under its names. `test_torchvision.py` says how to run it."""

import pytest
from comparison import RESNETS, VGGS, WIDER, largest_differences, other_side, readme_table

from cnn_jax.models import create_model
from cnn_jax.weights import input_convention, load_weights

pytestmark = pytest.mark.parity

SIZES = {
    **VGGS,
    "inception_v3": (75, 107),
    **RESNETS,
    "resnet50_v2": (64, 97),
    **WIDER,
}


@pytest.fixture(scope="module")
def table():
    with readme_table("timm", SIZES) as rows:
        yield rows


@pytest.mark.parametrize("name", SIZES)
def test_features_equal_timms(name, table, tmp_path):
    theirs = "resnetv2_50" if name == "resnet50_v2" else name
    other_side("timm_side.py", theirs, tmp_path, *SIZES[name])
    model = create_model(name, 10)
    variables = load_weights(tmp_path / "model.safetensors", model)
    table[name] = largest_differences(model, variables, tmp_path, SIZES[name])
    convention = input_convention(name, tmp_path / "model.safetensors")
    assert convention.source.startswith(f"timm, {theirs}")
    assert convention.crop == (299 if name == "inception_v3" else 224)
    for file in tmp_path.iterdir():
        file.unlink()
