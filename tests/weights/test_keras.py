"""Keras's networks against ours: random weights and statistics carried over by file, same images, same features."""

import os

import jax
import numpy as np
import pytest

from cnn_jax.models import create_model, features
from cnn_jax.weights import WeightsError, load_weights

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="needs the dependency group tensorflow")

pytestmark = pytest.mark.tensorflow

# Our name, Keras's, options, two sizes, and Keras's layer for each feature.
RESNET_V1 = {f"stage{i}": f"conv{i + 1}_block{n}_out" for i, n in enumerate((3, 4, 6, 3), start=1)}
ROWS = [
    ("vgg16", "VGG16", {}, (224,), {f"stage{i}": f"block{i}_pool" for i in range(1, 6)} | {"stem": "block1_conv1"}),
    ("vgg19", "VGG19", {}, (224, 240), {f"stage{i}": f"block{i}_pool" for i in range(1, 6)} | {"stem": "block1_conv1"}),
    ("resnet50_v1", "ResNet50", {}, (64, 97), RESNET_V1 | {"stem": "pool1_pool", "pool": "avg_pool"}),
    (
        "resnet50_v2",
        "ResNet50V2",
        {"variant": "keras"},
        (64, 97),
        RESNET_V1 | {"stem": "pool1_pool", "pool": "avg_pool"},
    ),
    (
        "inception_v3",
        "InceptionV3",
        {"variant": "keras"},
        (75, 107),
        {"stage1": "mixed2", "stage2": "mixed7", "stage3": "mixed10", "pool": "avg_pool"},
    ),
]


def randomized(name, size):
    """Keras's network with weights of a trained one's kind: statistics and biases that are not zero and one."""
    random = np.random.default_rng(1)
    build = getattr(keras.applications, name)
    network = build(weights=None, classes=5, input_shape=(size, size, 3), classifier_activation=None)
    for weight in network.weights:
        kind, shape = weight.path.split("/")[-1], weight.shape
        if "var" in kind:
            weight.assign(random.uniform(0.5, 2.0, shape))
        elif kind in ("gamma", "bias", "beta", "moving_mean"):
            weight.assign((kind == "gamma") + 0.2 * random.normal(size=shape))
    return network


@pytest.mark.parametrize(
    ("ours", "theirs", "options", "sizes", "layers"),
    [
        pytest.param(*row, id=row[0], marks=[pytest.mark.slow] * (row[0] == "vgg19")) for row in ROWS
    ],  # VGG-16 is shorter
)
def test_features_equal_keras(ours, theirs, options, sizes, layers, tmp_path):
    model = create_model(ours, 5, options=options)
    quick = {"xla_backend_optimization_level": 0}  # it runs once
    run = jax.jit(lambda v, x: features(model, v, x), compiler_options=quick)
    keras.utils.clear_session()
    for suffix, size in zip((".weights.h5", ".h5"), sizes, strict=False):
        network = randomized(theirs, size)
        path = tmp_path / f"weights{suffix}"
        network.save_weights(path) if suffix == ".weights.h5" else network.save(path)
        images = np.random.default_rng(2).normal(size=(2, size, size, 3)).astype(np.float32)
        watched = {name: network.get_layer(layer).output for name, layer in layers.items()}
        expected = keras.Model(network.inputs, watched | {"logits": network.outputs[0]})(images, training=False)
        caffe = ours in ("vgg16", "vgg19", "resnet50_v1")
        got = run(load_weights(path, model), images[..., ::-1] if caffe else images)
        for name, value in expected.items():
            value = np.asarray(value)
            difference = np.abs(np.asarray(got[name]) - value).max() / np.abs(value).max()
            assert difference < 1e-4, (name, size, difference)


def test_keras_variants_are_asked_for(tmp_path):
    path = tmp_path / "r.weights.h5"
    keras.applications.ResNet50V2(weights=None, classes=5, input_shape=(32, 32, 3)).save_weights(path)
    with pytest.raises(WeightsError, match=r"departs from the paper's; create it with the option variant='keras'"):
        load_weights(path, create_model("resnet50_v2", 5))
    with pytest.raises(WeightsError, match="does not hold this network's weights"):
        load_weights(path, create_model("resnet50_v1", 5))
    with pytest.raises(WeightsError, match="Keras files are read for vgg16"):
        load_weights(path, create_model("resnet18", 5))


def test_keras_head_can_be_left_out(tmp_path):
    path = tmp_path / "v.weights.h5"
    keras.applications.ResNet50(weights=None, classes=5, input_shape=(32, 32, 3)).save_weights(path)
    model = create_model("resnet50_v1", 3)
    with pytest.raises(WeightsError, match="Only the classifier differs"):
        load_weights(path, model)
    assert load_weights(path, model, head=False)["params"]["head"]["kernel"].shape == (2048, 3)
