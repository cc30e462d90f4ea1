"""A weights file says for which network, classes and images it is, and is refused elsewhere."""

import json
import sys
import types

import h5py
import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cnn_jax.models import MODELS, abstract_variables, create_model
from cnn_jax.weights import InputConvention, WeightsError, input_convention, load_weights, save_weights, stated_input
from cnn_jax.weights.description import describe, read_description
from cnn_jax.weights.files import read_keras, read_metadata, read_torch
from cnn_jax.weights.timm_config import timm_description


def draw(model, shape):
    random = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: random.uniform(0.5, 1.5, leaf.shape).astype(np.float32), abstract_variables(model, shape)
    )


@pytest.fixture
def small(tmp_path):
    """A ResNet-8 in a file, and its tensors."""
    model, path = create_model("resnet8_cifar"), tmp_path / "a.safetensors"
    save_weights(path, model, draw(model, (32, 32, 3)))
    return model, path, load_file(path)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_is_described_by_its_own_name(name):
    description = describe(create_model(name, 3))
    assert (description.network, description.options, description.num_classes) == (name, {}, 3)


@pytest.mark.parametrize(
    "option", [{"pool": "avg"}, pytest.param({"activation": "gelu"}, marks=pytest.mark.slow), {"dropout": 0.5}]
)
def test_file_of_another_function_is_refused_with_both_names(tmp_path, option):
    path, plain = tmp_path / "a.safetensors", create_model("resnet18", 3)
    model = create_model("resnet18", 3, options=option)
    save_weights(path, model, draw(model, (64, 64, 3)))
    if "dropout" in option:  # it matters in training alone
        load_weights(path, plain)
        return
    ((key, value),) = option.items()
    with pytest.raises(WeightsError, match=f"It is for resnet18 with {key}={value}, and this is resnet18:"):
        load_weights(path, plain)
    with pytest.raises(WeightsError, match=f"and this is resnet18 with {key}={value}"):
        save_weights(path, plain, draw(plain, (64, 64, 3)))
        load_weights(path, model)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architecture": "resnetblur18"}, "It is for resnetblur18, and this is resnet18"),
        ({"architecture": "resnet18", "model_args": {"act_layer": "silu"}}, "resnet18 with act_layer=silu"),
        ({"architecture": "resnet18", "global_pool": "max"}, "resnet18 with global_pool=max"),
        ({"architecture": "resnet18", "global_pool": "avg", "model_args": {"num_classes": 3}}, None),
    ],
)
def test_timms_configuration_names_the_network(tmp_path, config, message):
    model, path = create_model("resnet18", 3), tmp_path / "model.safetensors"
    save_weights(tmp_path / "ours.safetensors", model, draw(model, (64, 64, 3)))
    save_file(load_file(tmp_path / "ours.safetensors"), path)  # as timm writes it, without our metadata
    (tmp_path / "config.json").write_text(json.dumps(config | {"pretrained_cfg": {}}))
    if message is None:
        load_weights(path, model)
        return
    for file in (path, tmp_path / "ours.safetensors"):  # whatever our own metadata say
        with pytest.raises(WeightsError, match=message):
            load_weights(file, model)


def test_test_size_of_timm_is_that_of_evaluation(tmp_path):
    values = {"input_size": [3, 224, 224], "crop_pct": 0.95, "test_input_size": [3, 288, 288], "test_crop_pct": 1.0}
    values |= {"interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet50", "pretrained_cfg": values}))
    convention = input_convention("resnet50", tmp_path / "model.safetensors")
    assert convention.eval_augment == ("resize_shorter(288)", "center_crop(288)")
    assert (convention.resize, convention.crop) == (235, 224)


def test_what_is_written_of_images_and_classes_is_read_again(tmp_path, small):
    model, path, _ = small
    images = InputConvention((0.1,), (0.3,), 32, 32, "bicubic", "here", operations=("resize(32)", "to_rgb()"))
    save_weights(path, model, draw(model, (32, 32, 3)), class_names=["a\nb", "개"], images=images)
    assert read_description(path).class_names == ("a\nb", "개")
    read = input_convention("resnet8_cifar", path)
    assert (read.mean, read.std, read.interpolation) == (images.mean, images.std, images.interpolation)
    assert read.eval_augment == images.operations


@pytest.mark.parametrize("metadata", [{"cnn_jax": "{"}, {"cnn_jax": "[]"}, {"cnn_jax": '{"x": 1}'}])
def test_damaged_description_is_refused(small, metadata):
    model, path, tensors = small
    save_file(tensors, path, metadata)
    with pytest.raises(WeightsError, match="what it says of its network cannot be read"):
        load_weights(path, model)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module.", "backbone.", "model."])
def test_what_stands_before_all_names_is_cut_off(small, prefix):
    model, path, tensors = small
    expected = load_weights(path, model)
    save_file({prefix + name: tensor for name, tensor in tensors.items()}, path)
    jax.tree.map(np.testing.assert_array_equal, load_weights(path, model), expected)


def test_prefix_beside_other_tensors_is_named(small):
    model, path, tensors = small
    save_file({"encoder_q." + n: t for n, t in tensors.items()} | {"queue": np.ones(3, np.float32)}, path)
    with pytest.raises(WeightsError, match=r"behind the prefix 'encoder_q\.'"):
        load_weights(path, model)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("conv1.weight", lambda a: a * np.nan, "conv1.weight holds numbers that are not finite"),
        ("fc.bias", lambda a: a + np.inf, "fc.bias holds numbers that are not finite"),
        ("fc.bias", lambda a: a.astype(np.float64) * 1e300, "fc.bias holds numbers that are not finite"),
        ("conv1.weight", lambda a: (a * 50).astype(np.int8), "conv1.weight holds int8 numbers"),
        ("bn1.running_var", lambda a: -a, "bn1.running_var holds a negative variance"),
    ],
)
def test_numbers_that_no_training_leaves_are_refused(small, name, change, message):
    model, path, tensors = small
    save_file(tensors | {name: change(tensors[name])}, path)
    with pytest.raises(WeightsError, match=message):
        load_weights(path, model)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_are_read(small, dtype):
    model, path, tensors = small
    save_file({name: tensor.astype(dtype) for name, tensor in tensors.items()}, path)
    assert load_weights(path, model)["params"]["head"]["bias"].dtype == np.float32


def test_bfloat16_is_read(tmp_path):
    values = np.array([1.0, -2.5, 3.0], np.float32)  # exact in bfloat16
    data = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"a": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
    assert read_torch(tmp_path / "a.safetensors")["a"].tolist() == values.tolist()


def test_weights_of_colour_images_for_gray_ones_name_the_way(small):
    model, path, _ = small
    with pytest.raises(WeightsError, match=r"takes images of 3 channels, these have 1: add to_rgb\(\) to `data.augm"):
        load_weights(path, model, channels=1)


def test_name_in_place_of_a_network_is_refused(small):
    with pytest.raises(TypeError, match="must be a network that create_model makes, got 'resnet8_cifar'"):
        load_weights(small[1], "resnet8_cifar")


class Tensor:
    def __init__(self, array):
        self.array = array

    def is_floating_point(self):
        return True

    def float(self):
        return self

    def detach(self):
        return self

    def numpy(self):
        return self.array


@pytest.mark.parametrize(
    ("nested", "message"),
    [
        ({"epoch": 3, "state_dict": {"a": Tensor(np.ones(1))}, "state_dict_ema": {}, "optimizer": {"state": {}}}, None),
        ({"model": {"a": Tensor(np.ones(1))}, "model_ema": {"a": Tensor(np.ones(1))}}, "`model`, `model_ema`"),
        ({"epoch": 3, "weights": [1]}, "Its keys are epoch, weights"),
    ],
    ids=["one", "two", "none"],
)
def test_training_checkpoint_gives_its_state_dict_or_its_keys(tmp_path, monkeypatch, nested, message):
    module = types.SimpleNamespace(Tensor=Tensor, load=lambda *a, **k: nested)
    monkeypatch.setitem(sys.modules, "torch", module)
    (tmp_path / "a.pth").write_bytes(b"x")
    if message is None:
        assert list(read_torch(tmp_path / "a.pth")) == ["a"]
    else:
        with pytest.raises(WeightsError, match=message):
            read_torch(tmp_path / "a.pth")


def external(group, secret, tmp_path):
    group.create_dataset("k", shape=(4,), dtype="f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def external_link(group, secret, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["k"] = np.ones(4, "f4")
    group["k"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/k")


def virtual(group, secret, tmp_path):
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "k", shape=(4,))
    group.create_virtual_dataset("k", layout)


def soft_link(group, secret, tmp_path):
    group["k"] = h5py.SoftLink("/elsewhere")


def huge(group, secret, tmp_path):
    group.create_dataset("k", shape=(2**34,), dtype="f4")  # 64 GiB of zeros in a few bytes


def loop(group, secret, tmp_path):
    group["again"] = group.file["/"]
    group["k"] = np.ones(4, "f4")


@pytest.mark.parametrize(
    ("put", "message"),
    [
        (external, "stored in other files of this machine"),
        (external_link, "a link to elsewhere"),
        (virtual, "stored in other files of this machine"),
        (soft_link, "a link to elsewhere"),
        (huge, "far more memory than it has bytes"),
        (loop, None),
    ],
)
def test_hdf5_reads_nothing_but_itself(tmp_path, put, message):
    secret = tmp_path / "secret"
    secret.write_bytes(np.full(4, 7.0, "f4").tobytes())
    with h5py.File(tmp_path / "w.h5", "w") as file:
        put(file.create_group("c/c"), secret, tmp_path)
        file.attrs["layer_names"] = np.array([b"c"])
        file["c"].attrs["weight_names"] = np.array([b"c/k"])
    if message is None:
        assert read_keras(tmp_path / "w.h5")["c"][0].tolist() == [1] * 4
    else:
        with pytest.raises(WeightsError, match=f"is refused: .*{message}"):
            read_keras(tmp_path / "w.h5")


@pytest.mark.slow
def test_flipped_bytes_of_a_safetensors_file_are_read_or_refused_in_words(small):
    model, path, _ = small
    good, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(30):
        data = bytearray(good)
        data[int(random.integers(0, 3000))] ^= 1 << int(random.integers(8))
        path.write_bytes(data)
        try:
            load_weights(path, model)
        except WeightsError as error:
            assert str(path) in str(error)


def file_saying(path, **values):
    save_file({"a": np.ones(3, np.float32)}, path, {"cnn_jax": json.dumps(values).replace("Infinity", "1e400")})
    return path


IMAGES = {"mean": [0.5], "std": [0.5], "size": 32, "interpolation": "bilinear", "eval_augment": []}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("options", value) for value in ("abc", ["a"], 3)],
        *[("network", value) for value in (3, ["resnet18"], None)],
        *[("num_classes", value) for value in ("3", 0, 2.5, True, np.inf)],
        *[("class_names", value) for value in ("abc", [1], 3)],
        *[("input", value) for value in ("abc", [1])],
    ],
)
def test_key_of_the_wrong_kind_is_named_with_its_file(tmp_path, key, value):
    path = file_saying(tmp_path / "a.safetensors", **{"network": "resnet18", key: value})
    with pytest.raises(WeightsError, match=rf"a\.safetensors`: what it says of its network cannot be read.*`{key}`"):
        read_description(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("size", value) for value in (np.inf, 0, -1, "32", 10**400, 2**40)],
        *[("std", value) for value in ([0], [-1.0], [np.inf], [], 1, "1", [0.5, 0.5])],
        *[("mean", value) for value in (["0.5"], [np.inf], [True])],
        *[("interpolation", value) for value in ("lanczos", ["bilinear"], None)],
        *[("eval_augment", value) for value in ("resize(3)", [3])],
    ],
)
def test_image_convention_of_the_wrong_kind_is_named_with_its_file(tmp_path, key, value):
    path = file_saying(tmp_path / "a.safetensors", network="resnet18", input=IMAGES | {key: value})
    with pytest.raises(WeightsError, match=rf"a\.safetensors`: what it says of its images cannot be read.*`{key}`"):
        input_convention("resnet18", path)


TIMM = {"input_size": [3, 224, 224], "crop_pct": 0.875, "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3}


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("crop_pct", 1e-320, "OverflowError"),
        ("crop_pct", np.inf, "crop_pct"),
        ("crop_pct", -1, "input_size by crop_pct"),
        ("test_crop_pct", "0.9", "test_crop_pct"),
        ("input_size", [3, 224, np.inf], "input_size"),
        ("input_size", {"a": 1}, "KeyError"),
        ("std", [0, 1, 1], "std"),
        ("mean", "000", "mean"),
    ],
)
def test_timms_numbers_of_the_wrong_kind_are_named_with_the_file(tmp_path, key, value, named):
    config = {"architecture": "resnet18", "pretrained_cfg": TIMM | {key: value}}
    (tmp_path / "config.json").write_text(json.dumps(config).replace("Infinity", "1e400"))
    with pytest.raises(WeightsError, match=rf"config\.json` is no configuration of timm's: .*{named}"):
        input_convention("resnet18", tmp_path / "a.safetensors")


@pytest.mark.parametrize(("key", "value"), [("model_args", [1]), ("model_args", "a"), ("architecture", ["resnet18"])])
def test_timms_network_of_the_wrong_kind_is_named_with_the_file(tmp_path, key, value):
    config = {"architecture": "resnet18", "pretrained_cfg": TIMM} | {key: value}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=rf"config\.json` is no configuration of timm's: `{key}`"):
        timm_description(tmp_path / "a.safetensors")


def test_home_of_the_user_hides_no_description(tmp_path, monkeypatch, small):
    _model, _, _ = small
    monkeypatch.setenv("HOME", str(tmp_path))
    other = create_model("resnet8_cifar", options={"activation": "gelu"})
    assert read_description("~/a.safetensors").network == "resnet8_cifar" and read_metadata("~/a.safetensors")
    with pytest.raises(WeightsError, match="this is resnet8_cifar with activation=gelu"):
        load_weights("~/a.safetensors", other)
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnetblur18", "pretrained_cfg": TIMM}))
    assert timm_description("~/b.safetensors").network == "resnetblur18"
    assert stated_input("~/b.safetensors").crop == 224


def many_names(file, group):
    group["k"] = np.ones(1000, "f4")
    file["c"].attrs["weight_names"] = np.array([b"c/k"] * 5000)


def many_links(file, group):
    group["k0"] = np.ones(1000, "f4")
    for i in range(1, 300):
        group[f"k{i}"] = group["k0"]
    file["c"].attrs["weight_names"] = np.array([f"c/k{i}".encode() for i in range(300)])


def texts_of_any_length(file, group):
    group["k"] = np.array([b"text"])


def huge_texts(file, group):
    group.create_dataset("k", shape=(2**34,), dtype="S1")


def huge_chunk(file, group):
    group.create_dataset("k", shape=(1,), maxshape=(None,), chunks=(2**26,), dtype="f4", compression="gzip")


@pytest.mark.parametrize(
    ("put", "message"),
    [
        (many_names, "asks for far more memory than it has bytes"),
        (many_links, "asks for far more memory than it has bytes"),
        (huge_chunk, "asks for far more memory than it has bytes"),
        (texts_of_any_length, r"c/c/k holds \|S4; weights are numbers"),
        (huge_texts, "weights are numbers"),
    ],
)
def test_every_reading_of_hdf5_counts(tmp_path, put, message):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        group = file.create_group("c/c")
        file.attrs["layer_names"] = np.array([b"c"])
        file["c"].attrs["weight_names"] = np.array([b"c/k"])
        put(file, group)
    with pytest.raises(WeightsError, match=message):
        read_keras(tmp_path / "w.h5")
