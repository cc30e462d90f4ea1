import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file, save_file

from cnn_jax.models import MODELS, abstract_variables, create_model, initialize
from cnn_jax.weights import WeightsError, input_convention, load_weights, save_weights
from cnn_jax.weights.torch_names import torch_name


def draw(model, image_shape, seed=0):
    """Variables of a model, every number drawn: statistics too."""
    random = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: random.uniform(0.5, 1.5, leaf.shape).astype(leaf.dtype), abstract_variables(model, image_shape)
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {}),
        ("vgg11_bn", {"width": 0.03}),
        ("alexnet", {"width": 0.03}),
        pytest.param("googlenet", {"aux": True}, marks=pytest.mark.slow),
        ("lenet5", {}),
        ("wrn16_8", {"width": 0.125}),
    ],
)
def test_what_is_written_is_read_to_the_bit(name, options, tmp_path):
    model = create_model(name, 7, options=options)
    variables = draw(model, MODELS[name].image_shape)
    save_weights(tmp_path / "a.safetensors", model, variables)
    again = load_weights(tmp_path / "a.safetensors", model)
    jax.tree.map(np.testing.assert_array_equal, variables, again)
    save_weights(tmp_path / "b.safetensors", model, again)
    first, second = (load_file(tmp_path / f"{file}.safetensors") for file in "ab")
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[key], second[key]) for key in first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]


@pytest.mark.parametrize(
    ("name", "path", "theirs"),
    [
        ("resnet50", "params stem_conv kernel", "conv1.weight"),
        ("resnet50", "params stage2_block1 shortcut norm scale", "layer2.0.downsample.1.weight"),
        ("resnet50", "batch_stats stage4_block3 norm3 var", "layer4.2.bn3.running_var"),
        ("vgg16", "params conv5_3 bias", "features.28.bias"),
        ("vgg16_bn", "batch_stats norm5_3 mean", "features.41.running_mean"),
        ("alexnet", "params fc7 kernel", "classifier.4.weight"),
        ("googlenet", "params inception4e five norm bias", "inception4e.branch3.1.bn.bias"),
        ("googlenet", "params aux2_fc kernel", "aux2.fc1.weight"),
        ("inception_v3", "params mixed7c branch3x3dbl_3b conv kernel", "Mixed_7c.branch3x3dbl_3b.conv.weight"),
        ("lenet5", "params c1 kernel", "c1.weight"),
    ],
)
def test_names_are_torchvisions(name, path, theirs):
    assert torch_name(create_model(name), tuple(path.split())) == theirs


def test_kernels_are_transposed_and_the_flattened_map_is_reordered(tmp_path):
    model = create_model("alexnet", 3, options={"width": 0.03})
    save_weights(tmp_path / "a.safetensors", model, variables := draw(model, (224, 224, 3)))
    tensors, params = load_file(tmp_path / "a.safetensors"), variables["params"]
    conv, fc6 = params["conv1"]["kernel"], params["fc6"]["kernel"]
    assert tensors["features.0.weight"][1, 2, 3, 4] == conv[3, 4, 2, 1]
    channels = conv.shape  # 11, 11, 3, features
    last = params["conv5"]["kernel"].shape[-1]
    row, column, channel = 2, 5, last - 1
    assert (
        tensors["classifier.1.weight"][6, channel * 36 + row * 6 + column]
        == fc6[(row * 6 + column) * last + channel, 6]
    )
    assert channels[:3] == (11, 11, 3)


def test_a_wrong_file_is_described_and_nothing_is_guessed(tmp_path):
    model = create_model("resnet20_cifar")
    path = tmp_path / "a.safetensors"
    save_weights(path, model, draw(model, (32, 32, 3)))
    tensors = load_file(path)
    tensors["conv1.weight"] = tensors["conv1.weight"][:8]
    tensors["surplus"] = tensors.pop("fc.bias")
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=r"1 missing: fc\.bias") as error:
        load_weights(path, model)
    text = str(error.value)
    assert "1 missing: fc.bias" in text
    assert "1 left over: surplus" in text
    assert "1 of another shape: conv1.weight is 8×3×3×3, not 16×3×3×3" in text


def test_another_networks_file_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_weights(path, model := create_model("lenet5"), draw(model, (32, 32, 1)))
    with pytest.raises(WeightsError, match=r"weights\.\n  It is for lenet5, and this is resnet20_cifar: [^\n]*$"):
        load_weights(path, create_model("resnet20_cifar"))
    save_file(load_file(path), path)  # which says nothing of its network
    with pytest.raises(WeightsError, match=r"(?s)missing: .* and \d+ more.*10 left over: c1.bias"):
        load_weights(path, create_model("resnet20_cifar"))


def test_the_head_can_be_left_out_and_is_drawn_afresh(tmp_path):
    path, ten = tmp_path / "a.safetensors", create_model("lenet5", 10)
    save_weights(path, ten, draw(ten, (28, 28, 1)))
    three = create_model("lenet5", 3)
    with pytest.raises(WeightsError, match=r"Only the classifier differs: leave it out \(`--no-head`"):
        load_weights(path, three)
    read = load_weights(path, three, head=False)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(0)}
    fresh = initialize(three, keys, (28, 28, 1))["params"]["head"]
    jax.tree.map(np.testing.assert_array_equal, read["params"]["head"], fresh)
    bare = load_weights(path, create_model("lenet5", 0))
    assert "head" not in bare["params"]


@pytest.mark.slow
def test_auxiliary_classifiers_of_the_file_are_passed_over(tmp_path):
    path, model = tmp_path / "a.safetensors", create_model("googlenet", 5, options={"aux": True})
    save_weights(path, model, draw(model, (224, 224, 3)))
    assert not [p for p in flatten_dict(load_weights(path, create_model("googlenet", 5))) if p[1].startswith("aux")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.safetensors", None, "is no complete safetensors file"),
        ("cut.h5", None, "is no complete Keras file"),
        ("pickle.pkl", b"\x80\x04N.", "weights are read from .safetensors, .pth, .pt and .h5 files only"),
    ],
)
def test_unreadable_files_are_refused(name, content, message, tmp_path):
    model, whole = create_model("resnet50_v1" if name.endswith(".h5") else "lenet5"), tmp_path / "whole.safetensors"
    save_weights(whole, lenet := create_model("lenet5"), draw(lenet, (32, 32, 1)))
    (tmp_path / name).write_bytes(content or whole.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path / name, model)
    with pytest.raises(WeightsError, match="there is no file"):
        load_weights(tmp_path / "absent.safetensors", model)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path, model = tmp_path / "a.safetensors", create_model("lenet5")
    save_weights(path, model, draw(model, (32, 32, 1)))
    before = path.read_bytes()

    def fail(tensors, file, metadata):
        with open(file, "wb") as half:
            half.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("safetensors.numpy.save_file", fail)
    with pytest.raises(OSError, match="no space left"):
        save_weights(path, model, draw(model, (32, 32, 1), seed=1))
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    with pytest.raises(WeightsError, match=r"weights are written as \.safetensors"):
        save_weights(tmp_path / "a.pth", model, draw(model, (32, 32, 1)))


def test_conventions_follow_the_source():
    assert input_convention("resnet50", "a.pth").mean == (0.485, 0.456, 0.406)
    assert input_convention("googlenet", "a.safetensors").std == (0.5, 0.5, 0.5)
    assert input_convention("inception_v3", "a.h5").crop == 299
    caffe = input_convention("vgg16", "a.weights.h5")
    assert caffe.mean[0] == pytest.approx(123.68 / 255) and caffe.std == (1 / 255,) * 3


@pytest.mark.parametrize(
    "name", ["lenet5", *(pytest.param(n, marks=pytest.mark.slow) for n in ("vgg11", "resnet20_v2_cifar"))]
)
def test_a_hidden_layer_comes_and_goes_with_the_classifier(tmp_path, name):
    shape = MODELS[name].image_shape
    plain, hidden = (create_model(name, options={"hidden": units}) for units in (0, 16))
    for model, other in ((plain, hidden), (hidden, plain)):
        variables = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, leaf.dtype), abstract_variables(model, shape))
        save_weights(tmp_path / "file.safetensors", model, variables)
        back = load_weights(tmp_path / "file.safetensors", model)
        jax.tree.map(np.testing.assert_array_equal, back, variables)
        taken = load_weights(tmp_path / "file.safetensors", other, head=False)["params"]
        for layer, leaves in taken.items():
            assert all((leaf == 0.5).all() for leaf in jax.tree.leaves(leaves)) != layer.startswith("head"), layer
        with pytest.raises(WeightsError, match=r"head_hidden\.weight"):
            load_weights(tmp_path / "file.safetensors", other)
