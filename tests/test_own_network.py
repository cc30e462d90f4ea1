"""A network, an augmentation and a mix of one's own: from the experiment file to evaluation, with nothing lost."""

import contextlib
import dataclasses
import importlib.util
import os
import py_compile
import shutil
import sys

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from cnn_jax import Config, DataConfig, ModelConfig, open_run, verify
from cnn_jax.cli import main
from cnn_jax.config import ConfigError, flatten, identity, load_experiment
from cnn_jax.runs import evaluate, export_weights, predict, train
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.folder.own_code import with_code
from cnn_jax.runs.folder.run import take_run
from cnn_jax.runs.folder.stored import RunError, read_run

EXPERIMENT = """
from functools import partial
import jax, jax.numpy as jnp, optax
from flax import linen as nn
from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
from cnn_jax.modules import BatchNorm, Conv
from layers import gate
from settings import STEPS

class Gated(nn.Module):
    num_classes: int
    width: int = 8
    sharp: float = 1.0

    @nn.compact
    def __call__(self, images, *, train):
        x = BatchNorm()(Conv(self.width, 3)(images), train=train)
        return nn.Dense(self.num_classes, name="head")(gate(nn.relu(x), self.sharp).mean((1, 2)))

def invert(image, key, probability=0.1):
    return jnp.where(jax.random.bernoulli(key, probability), 255 - image, image)

def brier(logits, labels, scale=1.0):
    return scale * ((jax.nn.softmax(logits) - jax.nn.one_hot(labels, logits.shape[1])) ** 2).sum(1)

def swap(key, images, targets, share=0.5):
    other = images[::-1]
    return share * images + (1 - share) * other, share * targets + (1 - share) * targets[::-1]

def config():
    return Config(
        model=ModelConfig(partial(Gated, width=6), conv="xla"),
        data=DataConfig(
            "digits", batch_size=32, augment=(partial(invert, probability=0.2), "pad_crop(1)"), mix=(swap,)
        ),
        optim=OptimConfig(learning_rate=0.5),
        train=TrainConfig(
            steps=STEPS, checkpoint_every=3, eval_every=6, log_every=3, metrics=(partial(brier, scale=10),)
        ),
    )
"""
LAYERS = """
from flax import linen as nn

def gate(x, sharp):
    return x * nn.sigmoid(sharp * x)
"""
SETTINGS = "STEPS = 6\n"


def write(folder, text=EXPERIMENT, layers=LAYERS):
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "layers.py").write_text(layers)
    (folder / "settings.py").write_text(SETTINGS)
    (folder / "e.py").write_text(text)
    return folder / "e.py"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of the experiment, whose files are gone since."""
    folder = tmp_path_factory.mktemp("own")
    result = train(load_experiment(write(folder / "recipes")), folder / "run")
    shutil.rmtree(folder / "recipes")
    return folder / "run", result.test


@pytest.fixture
def run(trained, tmp_path):
    shutil.copytree(trained[0], tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def stranger(monkeypatch, tmp_path):
    """A user who has trained nothing."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_objects_are_stored_as_names_with_complete_arguments(trained):
    config = read_run(trained[0]).config
    flat = flatten(config)
    assert (flat["model.name"], flat["model.options.width"], flat["model.options.sharp"]) == (":Gated", 6, 1.0)
    assert flat["data.augment"] == [":invert(probability=0.2)", "pad_crop(1)"] and flat["data.mix"] == [":swap"]
    files = {path.name for path in (trained[0] / "code").iterdir() if path.is_file()}
    assert files == {"e.py", "layers.py", "settings.py"}  # all that runs when the file is loaded


def test_evaluation_after_the_file_is_gone_gives_what_training_gave(trained):
    figures = evaluate(trained[0])
    assert {k: figures[k] for k in trained[1]} == trained[1]


def test_a_metric_of_its_own_is_measured_over_all_examples(trained):
    run = open_run(trained[0])
    test, lines = run.dataset("test"), run.metrics()
    logits = np.asarray(run.logits(run.variables(), test.images(np.arange(len(test)))), np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wanted = 10 * ((probabilities - np.eye(10)[test.labels]) ** 2).sum(1).mean()
    assert trained[1]["brier"] == pytest.approx(wanted, rel=1e-5)  # a sum of 359 numbers in float32
    assert [line["split"] for line in lines if "brier" in line] == ["validation", "test"]


def test_a_module_of_the_same_name_that_is_loaded_already_is_not_taken(trained, tmp_path, monkeypatch):
    (tmp_path / "layers.py").write_text("def gate(x, sharp):\n    return 0 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import layers

    assert evaluate(trained[0])["loss"] == trained[1]["loss"]
    import layers as again

    assert again is layers
    del sys.modules["layers"]


def test_prediction_and_export_run_the_code_too(trained, tmp_path):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "a.png")
    (prediction,) = predict(trained[0], [tmp_path / "a.png"], top=10)
    assert sum(prediction["probabilities"]) == pytest.approx(1, abs=1e-6)  # ten roundings of float32
    file = export_weights(trained[0], tmp_path / "own.safetensors")
    state = Checkpoints(trained[0] / "checkpoints", read_only=True)
    assert {name.split(".")[0] for name in load_file(file)} == {"Conv_0", "BatchNorm_0", "head"}
    assert load_file(file)["Conv_0.kernel"].shape == (3, 3, 1, 6)  # as they are in Flax
    assert state.steps


@pytest.mark.slow  # `runs/test_initial_state.py` has it of a network of ours
def test_exported_weights_start_another_run(trained, tmp_path):
    file = export_weights(trained[0], tmp_path / "own.safetensors")
    path = write(tmp_path / "recipes")
    words = ["--train.steps", "1", "--optim.learning-rate", "0", "--optim.weight-decay", "0"]
    for words_more, kept in (([], True), (["--model.new-head"], False)):
        run = tmp_path / f"run{len(words_more)}"
        assert main(["train", str(path), "--workdir", str(run), "--model.weights", str(file), *words, *words_more]) == 0
        again = load_file(export_weights(run, tmp_path / "again.safetensors"))
        assert np.array_equal(again["Conv_0.kernel"], load_file(file)["Conv_0.kernel"])
        assert np.array_equal(again["head.kernel"], load_file(file)["head.kernel"]) is kept


def test_it_resumes_to_the_same_bits_and_refuses_another_network(trained, run, tmp_path, capsys):
    whole = Checkpoints(trained[0] / "checkpoints", read_only=True).manifest(6)
    shutil.rmtree(run / "checkpoints/6")
    with pytest.warns(UserWarning, match="training goes on from step 3"):
        train(load_experiment(write(tmp_path / "recipes", EXPERIMENT + "# a comment\n")), run)
    assert Checkpoints(run / "checkpoints", read_only=True).manifest(6).sums == whole.sums
    with pytest.raises(ConfigError, match=r"(?s)holds another experiment.*code: file layers.py differs"):
        train(load_experiment(write(tmp_path / "recipes", layers=LAYERS.replace("sharp * x", "sharp + x"))), run)


def test_strangers_code_runs_only_when_it_is_trusted(run, stranger, capsys):
    with pytest.raises(RunError, match=r"code/e\.py.*, .*code/layers\.py.*--trust-code"):
        evaluate(run)
    assert main(["summary", str(run)]) != 0 and "--trust-code" in capsys.readouterr().err
    assert main(["summary", str(run), "--trust-code"]) == 0
    assert main(["eval", str(run), "--trust-code"]) == 0
    assert main(["eval", str(run)]) == 1  # being run once is not being trained here


def test_functions_of_packages_in_a_strangers_run_are_not_called_unasked(run, tmp_path, monkeypatch):
    model = ModelConfig("os:system", options={"command": f"touch {tmp_path}/called"})
    before = read_run(run)
    config = dataclasses.replace(Config(model=model, data=DataConfig("digits")), code=None)
    with contextlib.closing(take_run(tmp_path / "theirs", config, before.derived, info=before.info)) as writer:
        writer.write_config()
    shutil.copytree(run / "checkpoints", tmp_path / "theirs" / "checkpoints")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for command in (evaluate, open_run, verify, lambda path: predict(path, [])):
        with pytest.raises(
            RunError, match=r"functions of packages, which this command calls: os:system\. .*--trust-code"
        ):
            command(tmp_path / "theirs")
    assert not (tmp_path / "called").exists()


def test_bytecode_beside_the_code_is_neither_run_nor_left(run, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "other.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + LAYERS)
    planted = importlib.util.cache_from_source(str(run / "code" / "layers.py"))
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH  # taken whatever the source says
    py_compile.compile(str(tmp_path / "other.py"), planted, invalidation_mode=unchecked)
    evaluate(run)
    assert not (tmp_path / "ran").exists() and os.listdir(run / "code" / "__pycache__") == [os.path.basename(planted)]


def test_code_that_computes_something_else_is_refused(run):
    layers = run / "code" / "layers.py"
    layers.write_text(LAYERS + "# a comment\n")
    with pytest.raises(RunError, match="--trust-code"):
        evaluate(run)
    evaluate(run, trust_code=True)
    layers.write_text(LAYERS.replace("sharp * x", "sharp + x"))
    with pytest.raises(RunError, match=r"is not what the run was trained with: code: file layers\.py differs"):
        evaluate(run, trust_code=True)
    layers.unlink()
    with pytest.raises(RunError, match=r"`.*code/layers\.py` is gone"):
        evaluate(run, trust_code=True)


def test_its_arguments_are_flags_and_another_network_takes_its_own(tmp_path, capsys, untrained):
    path, run = write(tmp_path / "recipes"), tmp_path / "run"
    words = ["train", str(path), "--workdir", str(run), "--train.steps", "1"]
    assert main([*words, "--model.options.width", "4"]) == 0
    assert read_run(run).config.model.options == {"width": 4, "sharp": 1.0}
    assert main([*words, "--model.options.widht", "4"]) == 2
    assert "--model.options.width" in capsys.readouterr().err
    shutil.rmtree(run)
    words += ["--data.augment", "resize(28)", "--data.eval-augment", "resize(28)"]
    assert main([*words, "--model.name", "lenet5"]) == 0
    assert read_run(run).config.model.options == {}


def test_what_stands_in_the_identity(tmp_path):
    def name(**files):
        config = load_experiment(write(tmp_path / "recipes", **files))
        return identity(config, code=config.code.digest)

    before = name()
    assert name(text=EXPERIMENT.replace("0.2)", "0.3)")) != before
    assert name(text=EXPERIMENT.replace("width=6", "width=7")) != before
    assert name(text=EXPERIMENT.replace("share * images", "share + images")) != before
    assert name(text=EXPERIMENT.replace("steps=STEPS", "steps=6")) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("self.num_classes, name", "7, name"), r"`model.name`: :Gated must give logits of shape \(2, 10\)"),
        (("images, *, train)", "images)"), "`model.name`: :Gated is called with images and `train`"),
        (("x = Batch", "self.variable('seen', 'x', lambda: 1.0)\n        x = Batch"), r"keeps variables in \['seen'\]"),
        (("ModelConfig(", "ModelConfig(dtype='bfloat16', name="), "`model.name`: :Gated takes no `dtype`"),
        (("ModelConfig(", "ModelConfig(remat=True, name="), "`model.name`: :Gated takes no `remat`"),
        (("partial(Gated, width=6)", "'lenet'"), "`model.name`: unknown model 'lenet'; did you mean lenet5"),
        (("partial(Gated, width=6)", "':Gatd'"), "has no function 'Gatd'. Did you mean `Gated`"),
        (("width=6", "widt=6"), "`model.name`: :Gated takes no `widt`. Did you mean `width`"),
        (("mix=(swap,)", "eval_augment=(invert,)"), "`data.eval_augment`: 'invert' is random"),
        (("partial(brier, scale=10)", "swap"), "`train.metrics`: :swap needs `targets`"),
        (("** 2).sum(1)", "** 2)"), "`train.metrics`: brier must give one number for each row"),
        (("probability=0.2", "chance=0.2"), "`data.augment`: :invert takes no `chance`"),
    ],
    ids=["logits", "train", "collection", "dtype", "remat", "unknown", "nearest", "argument", "random", "metric",
         "rows", "operation"],
)  # fmt: skip
def test_mistakes_are_named_before_a_folder_is_made(tmp_path, change, message):
    assert change[0] in EXPERIMENT
    path = write(tmp_path / "recipes", EXPERIMENT.replace(*change))
    with pytest.raises(ConfigError, match=message):
        train(load_experiment(path), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_context_loads_and_unloads(trained):
    before = set(sys.modules)
    with with_code(read_run(trained[0])) as opened:
        assert opened.config.code is not None and opened.config.code.digest
    left = {name for name in set(sys.modules) - before if not name.startswith("cnn_jax_experiment_")}
    assert not left & {"layers", "settings"}
