"""Files as timm writes them: its names, its convolutional classifiers, its configuration beside the weights."""

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cnn_jax.models import MODELS, abstract_variables, create_model
from cnn_jax.weights import WeightsError, input_convention, load_weights, save_weights
from cnn_jax.weights.timm_names import timm_name

PRETRAINED = {  # resnet50.a1_in1k's
    "tag": "a1_in1k",
    "input_size": [3, 224, 224],
    "test_input_size": [3, 288, 288],
    "interpolation": "bicubic",
    "crop_pct": 0.95,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}


@pytest.mark.parametrize(
    ("name", "path", "theirs"),
    [
        ("resnet50", "params stage2_block1 shortcut norm scale", "layer2.0.downsample.1.weight"),
        ("resnext50_32x4d", "batch_stats stage4_block3 norm3 var", "layer4.2.bn3.running_var"),
        ("inception_v3", "params mixed7c branch3x3dbl_3b conv kernel", "Mixed_7c.branch3x3dbl_3b.conv.weight"),
        ("vgg16", "params conv5_3 bias", "features.28.bias"),
        ("vgg16", "params fc6 kernel", "pre_logits.fc1.weight"),
        ("vgg16_bn", "params fc7 bias", "pre_logits.fc2.bias"),
        ("vgg16", "params head kernel", "head.fc.weight"),
        ("resnet50_v2", "params stem_conv kernel", "stem.conv.weight"),
        ("resnet50_v2", "params stage1_block1 shortcut conv kernel", "stages.0.blocks.0.downsample.conv.weight"),
        ("resnet50_v2", "batch_stats stage4_block3 norm3 mean", "stages.3.blocks.2.norm3.running_mean"),
        ("resnet50_v2", "params last_norm scale", "norm.weight"),
        ("resnet50_v2", "params head bias", "head.fc.bias"),
    ],
)
def test_names_are_timms(name, path, theirs):
    assert timm_name(create_model(name), tuple(path.split())) == theirs


def test_every_array_has_a_name_of_its_own():
    for name in ("vgg11_bn", "resnet50_v2", "inception_v3", "resnet18"):
        model = create_model(name)
        tree = abstract_variables(model, MODELS[name].image_shape)
        paths = [tuple(key.key for key in path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
        assert len({timm_name(model, path) for path in paths}) == len(paths)


@pytest.mark.parametrize("name", ["vgg11", pytest.param("resnet50_v2", marks=pytest.mark.slow)])
def test_a_file_of_timms_gives_the_same_arrays(name, tmp_path):
    model = create_model(name, 5, options={"width": 0.05})
    random = np.random.default_rng(0)
    tree = abstract_variables(model, MODELS[name].image_shape)
    variables = jax.tree.map(lambda leaf: random.uniform(0.5, 1.5, leaf.shape).astype(leaf.dtype), tree)
    save_weights(tmp_path / "ours.safetensors", model, variables)
    theirs = {}
    for key, tensor in load_file(tmp_path / "ours.safetensors").items():
        if name == "vgg11":
            for number, place in (("0", "pre_logits.fc1"), ("3", "pre_logits.fc2"), ("6", "head.fc")):
                key = key.replace(f"classifier.{number}.", f"{place}.")
            if key == "pre_logits.fc1.weight":
                tensor = tensor.reshape(len(tensor), -1, 7, 7)
            if key == "pre_logits.fc2.weight":
                tensor = tensor[:, :, None, None]
        else:
            for ours, place in (("stem_conv", "stem.conv"), ("last_norm", "norm"), ("head", "head.fc")):
                key = key.replace(ours, place)
            for stage in range(4):
                for block in range(6):
                    key = key.replace(f"stage{stage + 1}_block{block + 1}", f"stages.{stage}.blocks.{block}")
            key = key.replace("shortcut", "downsample")
            tensor = tensor[:, :, None, None] if key == "head.fc.weight" else tensor
        theirs[key] = np.ascontiguousarray(tensor)
    save_file(theirs, tmp_path / "theirs.safetensors")
    jax.tree.map(np.testing.assert_array_equal, load_weights(tmp_path / "theirs.safetensors", model), variables)
    bare = load_weights(tmp_path / "theirs.safetensors", model.clone(num_classes=3), head=False)
    assert bare["params"]["head"]["bias"].shape == (3,)
    del theirs["head.fc.bias"]
    save_file(theirs, tmp_path / "theirs.safetensors")
    with pytest.raises(WeightsError, match=r"1 missing: head\.fc\.bias"):
        load_weights(tmp_path / "theirs.safetensors", model)


def test_the_configuration_beside_the_file_is_the_convention(tmp_path):
    file, beside = tmp_path / "model.safetensors", tmp_path / "config.json"
    assert input_convention("resnet50", file).source.startswith("torchvision")
    beside.write_text(json.dumps({"architecture": "resnet50", "pretrained_cfg": PRETRAINED}))
    convention = input_convention("resnet50", file)
    assert (convention.resize, convention.crop, convention.interpolation) == (235, 224, "bicubic")
    assert convention.mean == (0.485, 0.456, 0.406) and convention.source == "timm, resnet50.a1_in1k"
    beside.write_text(json.dumps({"model_type": "another library's"}))
    assert input_convention("resnet50", file).source.startswith("torchvision")
    beside.write_text(json.dumps({"architecture": "resnet50", "pretrained_cfg": {"tag": "half"}}))
    with pytest.raises(WeightsError, match="is no configuration of timm's: KeyError"):
        input_convention("resnet50", file)
    lanczos = PRETRAINED | {"interpolation": "lanczos"}
    beside.write_text(json.dumps({"architecture": "resnet50", "pretrained_cfg": lanczos}))
    with pytest.raises(WeightsError, match="asks for 'lanczos' interpolation; known are bilinear and bicubic"):
        input_convention("resnet50", file)
    squash = PRETRAINED | {"crop_mode": "squash"}
    beside.write_text(json.dumps({"architecture": "resnet50", "pretrained_cfg": squash}))
    with pytest.raises(WeightsError, match="asks for the crop mode 'squash'; known is center"):
        input_convention("resnet50", file)
    beside.write_text(json.dumps({"architecture": "resnet50", "pretrained_cfg": PRETRAINED | {"crop_mode": "center"}}))
    assert input_convention("resnet50", file).crop == 224
