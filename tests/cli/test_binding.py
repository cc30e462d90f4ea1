"""The experiment file is found wherever it stands, and a flag that another one replaces is refused."""

import json

import pytest

import cnn_jax
import cnn_jax.runs
from cnn_jax.cli import main
from cnn_jax.cli.binding import given
from cnn_jax.runs import Result


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """The configurations that `train` was called with."""
    calls = []

    def record(config, workdir, **_):
        calls.append(config)
        zeros = {k: 0.0 for k in ("loss", "nll", "ece", "top1", "top5")}
        return Result(tmp_path, 1, {"num_examples": 1, **zeros, "per_class": {}})

    monkeypatch.setattr(cnn_jax, "train", record)  # first: it is looked up in cnn_jax.runs once, and then kept
    monkeypatch.setattr(cnn_jax.runs, "train", record)
    return calls


@pytest.mark.parametrize(
    "words",
    [
        "{} --seed 3 --json",
        "--seed 3 {} --json",
        "--seed=3 --json {}",
        "--json {} --seed 3",
        "--data.augment resize(28) pad_crop(3) --seed 3 {}",
        "--seed 3 -- {}",
    ],
)
def test_the_file_may_stand_anywhere(trained, experiment, capsys, words):
    assert main(["train", *words.format(experiment).split()]) == 0
    (config,) = trained
    assert (config.seed, config.data.batch_size, config.train.eval_every) == (3, 64, 8)  # the file's, not the defaults


def test_a_value_out_of_range_is_refused_in_the_words_of_its_flag(lenet, capsys):
    assert main(["train", str(lenet), "--model.options.width", "-1"]) == 2
    said = capsys.readouterr().err
    assert "width` must be positive, and at most 1000, got -1.0" in said and "tyro" not in said


OWN_NETWORK = """
from flax import linen as nn
from cnn_jax import Config, ModelConfig

class Pooled(nn.Module):
    num_classes: int
    pool: str = "mean"

    def __call__(self, images, *, train): ...

def config():
    return Config(model=ModelConfig(Pooled))
"""


def test_an_option_of_ones_own_network_takes_values_that_ours_of_that_name_does_not(trained, tmp_path):
    (tmp_path / "own.py").write_text(OWN_NETWORK)
    assert main(["train", str(tmp_path / "own.py"), "--model.options.pool", "median", "--json"]) == 0
    assert trained[0].model.options == {"pool": "median"}


def test_two_files_are_refused(trained, experiment, capsys):
    assert main(["train", str(experiment), "--seed", "1", str(experiment)]) == 2
    assert not trained
    assert "small.py" in capsys.readouterr().err


def test_a_value_that_looks_like_a_file_is_not_taken_for_it(trained, experiment, capsys):
    assert main(["train", "--workdir", "other.py", str(experiment), "--json"]) == 0
    assert trained[0].train.eval_every == 8
    json.loads(capsys.readouterr().out)


def test_help_before_the_file_shows_the_files_values(experiment, capsys):
    assert main(["train", "--help", str(experiment)]) == 0
    assert "(default: 64)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--train.epochs 3", "--train.steps None"),  # the file sets steps
        ("--train.steps 3 --train.epochs 3", "give one of the two"),
        ("--train.steps=3 --train.epochs=3", "give one of the two"),
    ],
)
def test_epochs_that_steps_replace_are_refused(trained, experiment, capsys, flags, message):
    assert main(["train", str(experiment), *flags.split()]) == 2
    assert not trained
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("flags", ["--train.steps None --train.epochs 3", "--train.steps 3"])
def test_the_length_can_be_replaced(trained, experiment, flags):
    assert main(["train", str(experiment), *flags.split()]) == 0
    assert (trained[0].train.steps or trained[0].train.epochs) == 3


def test_a_file_with_both_lengths_is_refused(trained, tmp_path, capsys):
    path = tmp_path / "both.py"
    path.write_text("from cnn_jax import *\ndef config(): return Config(train=TrainConfig(epochs=3, steps=4))")
    assert main(["train", str(path)]) == 2
    assert "both.py` sets `train.epochs` and `train.steps`" in capsys.readouterr().err


def test_given_flags_are_spelled_with_hyphens():
    assert given(["e.py", "--data.batch_size=3", "--seed", "1"]) == {"--data.batch-size", "--seed"}
