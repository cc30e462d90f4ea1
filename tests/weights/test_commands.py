"""Weights in and out of runs, by the command line."""

import json

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from cnn_jax.cli import main
from cnn_jax.models import abstract_variables, create_model
from cnn_jax.runs.folder.run import read_run
from cnn_jax.runs.session import open_session
from cnn_jax.weights import input_convention, save_weights


@pytest.fixture
def lenet_file(tmp_path):
    """A LeNet-5 with drawn weights, in a file."""
    random, model = np.random.default_rng(0), create_model("lenet5")
    shapes = abstract_variables(model, (28, 28, 1))
    variables = jax.tree.map(lambda leaf: random.normal(0, 0.2, leaf.shape).astype(np.float32), shapes)
    save_weights(tmp_path / "lenet5.safetensors", model, variables)
    return tmp_path / "lenet5.safetensors"


def run(capsys, *words):
    status = main([str(word) for word in words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


DIGITS = ("--data", "digits", "--eval-augment", "resize(28)")


def test_imported_weights_are_evaluated_used_and_exported_to_the_bit(lenet_file, tmp_path, capsys):
    folder, back = tmp_path / "run", tmp_path / "back.safetensors"
    assert run(capsys, "weights", "import", "lenet5", lenet_file, "--out", folder, *DIGITS)[0] == 0
    status, out, _ = run(capsys, "eval", folder, "--json")
    assert status == 0 and json.loads(out.splitlines()[-1])["num_examples"] == 359
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "black.png")
    status, out, _ = run(capsys, "predict", folder, tmp_path / "black.png", "--json")
    assert status == 0 and len(json.loads(out.splitlines()[-1])["predictions"][0]["classes"]) == 5
    assert run(capsys, "weights", "export", folder, back)[0] == 0
    before, after = load_file(lenet_file), load_file(back)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_refused_import_leaves_nothing_behind(lenet_file, tmp_path, capsys):
    out = tmp_path / "runs" / "run"
    status, _, err = run(capsys, "weights", "import", "resnet20_cifar", lenet_file, "--out", out, *DIGITS)
    assert status == 1 and "does not hold this network's weights" in err and "It is for lenet5" in err
    assert not out.parent.exists()
    status, _, err = run(capsys, "weights", "import", "lenet5", tmp_path / "absent.pth", "--out", out, *DIGITS)
    assert status == 1 and "there is no file" in err
    status, _, err = run(capsys, "weights", "import", "resnet20", lenet_file, "--out", out, *DIGITS)
    assert status == 2 and "unknown model 'resnet20'; did you mean resnet20_cifar" in err
    out.mkdir(parents=True)
    status, _, err = run(capsys, "weights", "import", "lenet5", lenet_file, "--out", out, *DIGITS)
    assert status == 1 and "exists already" in err


def test_a_classifier_of_another_width_is_left_out_on_request(tmp_path, capsys):
    model, file = create_model("lenet5", 3), tmp_path / "three.safetensors"
    shapes = abstract_variables(model, (28, 28, 1))
    save_weights(file, model, jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes))
    words = ("weights", "import", "lenet5", file, "--out", tmp_path / "run", *DIGITS)
    status, _, err = run(capsys, *words)
    assert status == 1 and "Only the classifier differs" in err
    assert run(capsys, *words, "--no-head")[0] == 0


def centre(path, filtering):
    """What torchvision's Resize(32) and CenterCrop(28) make of a landscape of 60×80."""
    return np.asarray(Image.open(path).resize((42, 32), filtering).crop((7, 2, 35, 30)))


def test_timms_interpolation_travels_to_evaluation_prediction_and_training(tmp_path, capsys):
    random, model = np.random.default_rng(0), create_model("lenet5", 2)
    paths = [
        tmp_path / "pictures" / split / label / f"{i}.png"
        for split in ("train", "test")
        for label in "ab"
        for i in range(2)
    ]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (60, 80, 3), np.uint8)).save(path)
    shapes = abstract_variables(model, (28, 28, 3))
    variables = jax.tree.map(lambda leaf: random.normal(0, 0.2, leaf.shape).astype(np.float32), shapes)
    file, folder = tmp_path / "model.safetensors", tmp_path / "run"
    save_weights(file, model, variables)
    pretrained = {"input_size": [3, 28, 28], "crop_pct": 0.875, "interpolation": "bicubic"}
    pretrained |= {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "lenet5", "pretrained_cfg": pretrained}))
    data = ("--data", "folder", "--folder", tmp_path / "pictures", "--root", tmp_path / "data")
    assert run(capsys, "weights", "import", "lenet5", file, "--out", folder, *data)[0] == 0
    opened = read_run(folder)
    session = open_session(opened.config, opened.derived)

    def probabilities(filtering):
        images = np.stack([centre(path, filtering) for path in paths[4:]]) / np.float32(255)
        normalized = (images - np.float32(session.info.mean)) / np.float32(session.info.std)
        return np.asarray(jax.nn.softmax(apply(normalized)))

    apply = jax.jit(lambda images: model.apply(variables, images, train=False))

    bicubic, bilinear = (probabilities(f) for f in (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR))
    assert np.abs(bicubic - bilinear).max(axis=1).min() > 1e-3
    status, out, _ = run(capsys, "eval", folder, "--json")
    expected = -np.log(bicubic[np.arange(4), [0, 0, 1, 1]]).mean()
    assert status == 0 and json.loads(out.splitlines()[-1])["nll"] == pytest.approx(expected, rel=1e-4)
    status, out, _ = run(capsys, "predict", folder, *paths[4:], "--json")
    assert status == 0
    said = json.loads(out.splitlines()[-1])["predictions"]
    for row, expected in zip(said, bicubic, strict=True):
        assert row["probabilities"] == pytest.approx(sorted(expected, reverse=True), rel=1e-4)
    assert run(capsys, "export", folder, tmp_path / "a.zip")[0] == 0
    out = run(capsys, "predict", tmp_path / "a.zip", *paths[4:], "--json")[1]
    for ours, theirs in zip(said, json.loads(out.splitlines()[-1])["predictions"], strict=True):
        assert ours["classes"] == theirs["classes"] and theirs["probabilities"] == pytest.approx(ours["probabilities"])
    training = session.training_data()
    seen = {image.tobytes() for image in training.images(np.arange(len(training)), epoch=np.zeros(4, int))}
    assert seen <= {centre(path, Image.Resampling.BICUBIC).tobytes() for path in paths[:4]} and seen


@pytest.fixture
def unprepared(tmp_path, monkeypatch):
    """A root without ImageNet."""
    monkeypatch.setenv("CNN_JAX_DATA", str(tmp_path / "data"))


@pytest.mark.slow
def test_imagenet_weights_need_no_data_to_predict_and_to_be_exported(tmp_path, capsys, unprepared):
    model, file, folder = create_model("resnet18"), tmp_path / "model.safetensors", tmp_path / "run"
    tree = abstract_variables(model, (224, 224, 3))
    save_weights(file, model, jax.tree.map(lambda leaf: np.full(leaf.shape, 0.001, np.float32), tree))
    pretrained = {"input_size": [3, 32, 32], "crop_pct": 0.5, "interpolation": "bicubic", "tag": "x"}
    pretrained |= {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18", "pretrained_cfg": pretrained}))
    assert run(capsys, "weights", "import", "resnet18", file, "--out", folder)[0] == 0
    stored = json.loads((folder / "config.json").read_text())["config"]
    assert stored["data.mean"] == [0.1, 0.2, 0.3] and stored["data.std"] == [0.4, 0.5, 0.6]
    assert stored["data.eval_augment"] == ["resize_shorter(64)", "center_crop(32)"]
    assert stored["data.interpolation"] == "bicubic"
    Image.fromarray(np.full((90, 70), 128, np.uint8)).save(tmp_path / "gray.png")
    status, out, _ = run(capsys, "predict", folder, tmp_path / "gray.png", "--json")
    (prediction,) = json.loads(out.splitlines()[-1])["predictions"]
    assert status == 0 and prediction["probabilities"] == pytest.approx([0.001] * 5)
    assert prediction["classes"][:2] == ["n01440764", "n01443537"]
    assert run(capsys, "weights", "export", folder, tmp_path / "back.safetensors")[0] == 0
    before, after = load_file(file), load_file(tmp_path / "back.safetensors")
    assert before.keys() == after.keys() and all(np.array_equal(before[name], after[name]) for name in before)
    assert input_convention("resnet18", tmp_path / "back.safetensors").mean == (0.1, 0.2, 0.3)
    status, _, err = run(capsys, "eval", folder)
    assert status == 1 and "run `cnn-jax data prepare imagenet2012 --source DIR`" in err
    status, _, err = run(capsys, "weights", "import", "resnet18", file, "--out", tmp_path / "b", "--data", "cifar10")
    assert status == 1 and "Only the classifier differs" in err and not (tmp_path / "b").exists()


def test_weights_that_brought_no_mean_need_the_data_set(lenet_file, tmp_path, capsys, unprepared):
    words = ("weights", "import", "lenet5", lenet_file, "--out", tmp_path / "run", "--data", "mnist")
    status, _, err = run(capsys, *words, "--eval-augment", "resize(28)")
    assert status == 1 and "run `cnn-jax data prepare mnist" in err and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "name", "content", "message"),
    [
        ("lenet5", "cut.safetensors", "cut", "is no complete safetensors file"),
        ("resnet50_v1", "cut.weights.h5", "cut", "is no complete Keras file"),
        ("lenet5", "pickle.pkl", b"\x80\x04N.", "weights are read from .safetensors, .pth, .pt and .h5 files only"),
        ("lenet5", "text.jpg", b"no weights", "weights are read from"),  # before a data set is looked for
        ("resnet20_cifar", "lenet5.safetensors", "whole", "does not hold this network's weights"),
        ("lenet6", "lenet5.safetensors", "whole", "unknown model 'lenet6'; did you mean lenet5"),
    ],
)
def test_bad_files_are_refused_by_name(model, name, content, message, lenet_file, tmp_path, capsys):
    whole = lenet_file.read_bytes()
    (tmp_path / name).write_bytes({"cut": whole[:-100], "whole": whole}.get(content, content))
    before = sorted(tmp_path.iterdir())
    data = () if model == "resnet50_v1" or name == "text.jpg" else DIGITS
    status, out, err = run(capsys, "weights", "import", model, tmp_path / name, "--out", tmp_path / "run", *data)
    assert status == (2 if model == "lenet6" else 1) and message in err and not out
    assert "Traceback" not in err and sorted(tmp_path.iterdir()) == before


def test_images_that_are_too_small_are_refused(lenet_file, tmp_path, capsys):
    words = ("weights", "import", "lenet5", lenet_file, "--out", tmp_path / "run", "--data", "digits")
    status, _, err = run(capsys, *words, "--eval-augment", "resize(8)")
    assert status == 2 and "`data.eval_augment`: lenet5 takes" in err and "got 8×8; resize or pad them" in err
    assert not (tmp_path / "run").exists()
