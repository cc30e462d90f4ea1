"""A data set of one's own, arrays or files, and one that TFDS prepared: from the experiment file to prediction."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from cnn_jax.config import ConfigError, flatten, load_experiment
from cnn_jax.data import DataError, Images, UnpreparedError, load_dataset, own_spec, tfds_spec
from cnn_jax.runs import evaluate, predict, train
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.folder.stored import RunError, read_run

EXPERIMENT = """
from functools import partial
import numpy as np
from flax import linen as nn
from cnn_jax import Config, DataConfig, Images, ModelConfig, OptimConfig, TrainConfig

FOLDER = "{folder}"

class Small(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(self.num_classes, name="head")(images.reshape(len(images), -1))

def shapes(split, size=28, count=60):
    rng = np.random.default_rng({{"train": 0, "validation": 1, "test": 2}}[split])
    labels = np.arange(count) % 2
    images = rng.integers(0, 60, (count, size, size, 1)) + 150 * labels[:, None, None, None]
    return None if split == "validation" else Images(images.astype(np.uint8), labels, ("dark", "light"))

def files(split, seed):
    if split == "validation":
        return None
    paths = [f"{{FOLDER}}/{{split}}{{i}}.png" for i in range(24)]
    return Images(paths, [i % 2 for i in range(24)], ("dark", "light"))

def config():
    return Config(
        model=ModelConfig(Small, conv="xla"),
        data=DataConfig({name}, batch_size=8, {more}),
        optim=OptimConfig(learning_rate=0.2),
        train=TrainConfig(steps=6, checkpoint_every=3, eval_every=6, log_every=3),
    )
"""


def write(tmp_path, name="partial(shapes, count=80)", more=""):
    (tmp_path / "recipes").mkdir(exist_ok=True)
    path = tmp_path / "recipes" / "e.py"
    path.write_text(EXPERIMENT.format(folder=tmp_path / "pictures", name=name, more=more))
    return path


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for i in range(24):
            pixels = rng.integers(0, 60, (30 + i, 40, 3)) + 150 * (i % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "pictures" / f"{split}{i}.png")
    return tmp_path / "pictures"


FILES = 'augment=("random_resized_crop(28)", "grayscale()"), eval_augment=("resize(28)", "grayscale()")'


def test_arrays_train_resume_evaluate_and_predict(tmp_path):
    run = tmp_path / "run"
    result = train(load_experiment(write(tmp_path)), run)
    stored = read_run(run)
    assert flatten(stored.config)["data.name"] == ":shapes(count=80)"
    assert stored.info is not None and stored.info.class_names == ("dark", "light")
    assert stored.info.num_examples == 72  # a tenth is held out
    assert result.test["num_examples"] == 80
    whole = Checkpoints(run / "checkpoints", read_only=True).manifest(6)
    shutil.rmtree(run / "checkpoints/6")
    with pytest.warns(UserWarning, match="training goes on from step 3"):
        train(load_experiment(tmp_path / "recipes" / "e.py"), run)
    assert Checkpoints(run / "checkpoints", read_only=True).manifest(6).sums == whole.sums
    shutil.rmtree(tmp_path / "recipes")
    figures = evaluate(run)
    assert {key: figures[key] for key in result.test} == result.test
    Image.fromarray(np.full((28, 28), 200, np.uint8)).save(tmp_path / "a.png")
    (prediction,) = predict(run, [tmp_path / "a.png"])
    assert set(prediction["classes"]) == {"dark", "light"}


def test_files_are_decoded_and_no_data_is_needed_to_predict(tmp_path, pictures):
    run = tmp_path / "run"
    train(load_experiment(write(tmp_path, "files", FILES)), run)
    assert evaluate(run)["num_examples"] == 24
    image = tmp_path / "a.png"
    shutil.copy(pictures / "test1.png", image)
    before = predict(run, [image])
    shutil.rmtree(pictures)
    assert predict(run, [image]) == before
    with pytest.raises(DataError, match=r"train0\.png cannot be read"):
        evaluate(run)


def test_other_pixels_are_another_data_set(tmp_path):
    run = tmp_path / "run"
    train(load_experiment(write(tmp_path)), run)
    path = tmp_path / "recipes" / "e.py"
    path.write_text(path.read_text().replace("150 * labels", "120 * labels"))
    with pytest.raises(ConfigError, match=r"(?s)another experiment.*code: file e\.py differs.*data: train differs"):
        train(load_experiment(path), run)


def test_data_that_changed_on_disk_are_refused(tmp_path, pictures):
    run = tmp_path / "run"
    train(load_experiment(write(tmp_path, "files", FILES)), run)
    Image.new("RGB", (30, 30), (200, 0, 0)).save(pictures / "train0.png")
    with pytest.raises(RunError, match="trained on another data set of the name `:files`: train differ"):
        evaluate(run)


GOOD = Images(np.zeros((4, 2, 2, 1), np.uint8), [0, 1, 0, 1], ("a", "b"))


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({"train": None}, r"f\('train'\) returns None; a data set has a training split"),
        ({"train": np.zeros(3)}, r"f\('train'\) must return cnn_jax.Images, got ndarray"),
        ({"train": dataclasses.replace(GOOD, labels=[0, 1, 0])}, "has 4 images and 3 labels"),
        ({"train": dataclasses.replace(GOOD, labels=[0, 1, 0, 2])}, "labels are from 0 to 2, with 2 class names"),
        ({"train": dataclasses.replace(GOOD, labels=[0.0, 1, 0, 1])}, "labels must be integers"),
        ({"train": dataclasses.replace(GOOD, class_names=("a", "a"))}, "two or more different texts"),
        ({"train": dataclasses.replace(GOOD, images=np.zeros((4, 2, 2, 1)))}, "images must be uint8"),
        ({"train": dataclasses.replace(GOOD, images=np.zeros((4, 2, 2), np.uint8))}, "images must be uint8"),
        ({"train": dataclasses.replace(GOOD, images=["/nowhere"] * 4)}, "/nowhere cannot be read"),
        ({"train": GOOD, "test": dataclasses.replace(GOOD, class_names=("b", "a"))}, "other class names"),
        (
            {"train": GOOD, "test": dataclasses.replace(GOOD, images=np.zeros((4, 3, 2, 1), np.uint8))},
            r"holds images \(3, 2, 1\), and the training split \(2, 2, 1\)",
        ),
    ],
)
def test_what_is_no_data_set_is_refused(examples, message):
    with pytest.raises(DataError, match=message):
        own_spec(examples.get, "f")


def test_a_validation_split_of_its_own_is_used(tmp_path):
    spec = own_spec(dict.fromkeys(("train", "validation", "test"), GOOD).get, "x.py:f")
    assert spec.name.startswith("own/f-") and spec.has_validation
    assert len(load_dataset(spec, "validation", root=tmp_path)) == len(load_dataset(spec, "train", root=tmp_path)) == 4


@pytest.mark.slow
def test_a_set_of_tfds_is_the_set_itself(tmp_path, monkeypatch, data_root):
    ours = load_dataset("digits", "test")
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_root))
    theirs = load_dataset(tfds_spec("digits"), "test", root=tmp_path / "store")
    assert theirs.info == dataclasses.replace(ours.info, name="tfds/digits")
    assert (theirs.images(np.arange(359)) == ours.images(np.arange(359))).all() and (theirs.labels == ours.labels).all()
    resized = "augment=('resize(28)',), eval_augment=('resize(28)',)"
    result = train(load_experiment(write(tmp_path, "'tfds:digits'", resized)), tmp_path / "run")
    assert result.test["num_examples"] == 359
    with pytest.raises(UnpreparedError, match="TFDS has not prepared nothing below"):
        tfds_spec("nothing")
