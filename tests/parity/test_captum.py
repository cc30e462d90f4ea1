"""Grad-CAM and integrated gradients against Captum's: the same weights, images and classes.

As `test_torchvision.py` says, with `pip install captum==0.9.0` beside torchvision.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from comparison import other_side

from cnn_jax.inspect import grad_cam, integrated_gradients
from cnn_jax.models import create_model
from cnn_jax.runs.machine.settings import precision
from cnn_jax.weights import load_weights

pytestmark = pytest.mark.parity

# Of the largest value: what is left is the order in which float32 sums are taken.
TOLERANCE = 1e-5


@pytest.mark.parametrize(
    ("name", "size", "layer", "feature", "dtype"),
    [
        ("resnet18", 64, "layer3", "stage3", "float32"),
        # In float32 a value that rounds to the other side of zero changes a gradient as a whole, as some of VGG's do
        # (2.8e-3 of the largest share).
        ("vgg11_bn", 32, "features.14", "stage3", "float64"),
    ],
)
def test_attributions_are_captums(name, size, layer, feature, dtype, tmp_path):
    with precision(dtype):
        compare(name, size, layer, feature, dtype, tmp_path)


def compare(name, size, layer, feature, dtype, tmp_path):
    other_side("captum_side.py", name, tmp_path, size, layer, 32, dtype)
    model = create_model(name, 10, dtype=jnp.dtype(dtype))
    variables = load_weights(tmp_path / "weights.safetensors", model)
    classes = jnp.array([1, 9])
    with np.load(tmp_path / "captum.npz") as captum:
        found = {
            "cam": grad_cam(model, variables, captum["images"], feature, classes)[..., None],
            "shares": integrated_gradients(model, variables, captum["images"], -1.5, classes, steps=32).values,
        }
        for what, ours in found.items():
            difference = np.abs(np.asarray(ours) - captum[what]).max() / np.abs(captum[what]).max()
            print(f"{name} {what}: {difference:.1e}")
            assert difference < TOLERANCE, what
