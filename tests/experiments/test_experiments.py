"""Every recipe is complete: it parses, trains two steps and evaluates, at reduced size on random images."""

import ast
import dataclasses
import functools
import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from cnn_jax.cli import main
from cnn_jax.config import load_experiment
from cnn_jax.data import DATASETS, ArrayDataset, DatasetInfo, parse_augment
from cnn_jax.models import MODELS, abstract_variables, create_model, googlenet
from cnn_jax.runs import content, splits
from cnn_jax.weights import save_weights

FOLDER = Path(__file__).parents[2] / "experiments"
RECIPES = sorted(path for path in FOLDER.glob("*.py") if path.stem not in ("own_loop", "calibration"))  # programs
recipes = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)

# Sides of images in the ImageNet recipes, and those that stand in for them here; AlexNet needs 67 pixels.
SIDES = {"256": "72", "236": "72", "232": "72", "227": "67", "224": "64", "176": "64", "160": "64"}
CLASSES = 10


def smaller(specs):
    """Augmentations with the sides of ImageNet's images replaced."""
    return [re.sub(r"\b\d+\b", lambda match: SIDES.get(match.group(), match.group()), spec) for spec in specs]


def stand_in(name, split, *, crop=None, **_):
    """Random images of the shape of a data set, or of what the host crops from files."""
    shape = crop.image_shape if crop else DATASETS[name].image_shape
    count, channels = {"train": 12, "validation": 5, "test": 5}[split], shape[-1]
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, *shape), np.uint8)
    labels = np.arange(count, dtype=np.int32) % CLASSES
    names = tuple(str(i) for i in range(CLASSES))
    moments = (0.5,) * channels, (0.25,) * channels
    return ArrayDataset(images, labels, DatasetInfo(name, split, count, CLASSES, shape, names, *moments, "0"))


def shallow(entry):
    """An architecture with one block a stage, so that it compiles in seconds."""
    depths = getattr(entry.constructor(), "depths", None)
    if depths is None:
        return entry
    few = functools.partial(entry.constructor, depths=(1,) * len(depths))
    return dataclasses.replace(entry, constructor=few)


def narrow_weights(name, path):
    """A file for the narrow network that stands in, of ones."""
    model = create_model(name, CLASSES, options={"width": 0.125})
    shapes = abstract_variables(model, (28, 28, 1))
    save_weights(path, model, jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes))
    return path


# Other recipes take their way through the code, with other numbers.
LONG = {"imagenet_alexnet_2012", "imagenet_resnet50_v2", "imagenet_torchvision", "imagenet_vgg_2014"}
LONG |= {
    "digits_lenet",
    "digits_transfer",
    "cifar_resnet",
    "digits_resnet20",
    "fashion_small",
    "fashion_classics",
    "your_own",
}
LONG |= {"folder_of_jpegs", "small_images_resnet50", "cifar_wrn", "imagenet_resnet50_timm", "imagenet_googlenet_2014"}


@pytest.mark.parametrize(
    "path", [pytest.param(p, marks=[pytest.mark.slow] * (p.stem in LONG), id=p.stem) for p in RECIPES]
)
def test_a_recipe_trains_two_steps_and_evaluates(path, monkeypatch, tmp_path, capsys):
    config = load_experiment(path)
    monkeypatch.setattr(splits, "load_dataset", stand_in)
    monkeypatch.setattr(content, "fingerprint", lambda name, **_: {"train": "stand-in"})
    monkeypatch.setattr(googlenet, "BLOCKS", {name: googlenet.BLOCKS[name] for name in ("3b", "4a", "4d", "4e", "5b")})
    ours = config.model.name in MODELS
    if ours:
        monkeypatch.setitem(MODELS, config.model.name, shallow(MODELS[config.model.name]))
    flags = ["--train.steps", "2", "--train.log-every", "1", "--data.batch-size", "4", "--model.conv", "xla", "--json"]
    if ours and config.model.name != "lenet5":
        flags += ["--model.options.width", "0.125"]
    for key, specs in (("augment", config.data.augment), ("eval-augment", config.data.eval_augment)):
        flags += [f"--data.{key}", *smaller(specs)] if specs else []
    if config.data.eval_views:
        flags += ["--data.eval-views", *smaller([config.data.eval_views])]
    if config.data.examples_per_class:
        flags += ["--data.examples-per-class", "1"]
    if config.model.weights:
        flags += ["--model.weights", str(narrow_weights(config.model.name, tmp_path / "narrow.safetensors"))]
    status = main(["train", str(path), "--workdir", str(tmp_path / "run"), *flags])
    out, err = capsys.readouterr()
    assert status == 0, err
    figures = json.loads(out.splitlines()[-1])
    assert figures["step"] == 2
    assert figures["test"]["num_examples"] == 5
    assert np.isfinite(figures["test"]["loss"])
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "train"] == [1, 2]


@recipes
def test_a_recipe_s_help_names_its_options(path, capsys):
    assert main(["train", str(path), "--help"]) == 0
    text, config = capsys.readouterr().out, load_experiment(path)
    assert config.model.name in text
    for flag in ("--model.name", "--optim.name", "--optim.learning-rate", "--data.augment", "--train.epochs", "--seed"):
        assert flag in text


@recipes
def test_a_recipe_says_what_it_asks_and_what_came_out(path):
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert f"cnn-jax train experiments/{path.name}" in text
    assert re.search(r"not yet run|± \d", text)
    assert path.read_text().split('"""', 2)[2].count("\n") <= 70


@pytest.mark.parametrize(
    "path", [p for p in RECIPES if "imagenet" in p.stem or "folder" in p.stem], ids=lambda p: p.stem
)
def test_recipes_for_image_files_begin_as_the_decoder_wants(path):
    data = load_experiment(path).data
    assert parse_augment(data.augment, files=True).host
    assert parse_augment(data.eval_augment, files=True, allow_random=False).host


@recipes
def test_a_recipe_names_a_known_model_and_data_set(path):
    config = load_experiment(path)
    assert config.model.name in MODELS or path.stem == "your_own"
    assert config.data.name in (*DATASETS, "folder")
