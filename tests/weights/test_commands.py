"""Weights in and out of runs, by the command line."""

import json

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from cnn_jax.cli import main
from cnn_jax.models import abstract_variables, create_model
from cnn_jax.weights import save_weights


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
    assert status == 1 and "does not hold this network's weights" in err and "missing" in err
    assert list(out.parent.iterdir()) == []
    status, _, err = run(capsys, "weights", "import", "lenet5", tmp_path / "absent.pth", "--out", out, *DIGITS)
    assert status == 1 and "there is no file" in err
    out.mkdir()
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
