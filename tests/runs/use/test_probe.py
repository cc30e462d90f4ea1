"""A linear probe: its features are those before the classifier, its solution that of logistic regression."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from small_network import Small

from cnn_jax import (
    Config,
    DataConfig,
    ModelConfig,
    TrainConfig,
    create_model,
    export_weights,
    features,
    open_run,
    probe,
    train,
)
from cnn_jax.cli import main
from cnn_jax.config import ConfigError
from cnn_jax.data import UnpreparedError
from cnn_jax.models import abstract_variables
from cnn_jax.runs.use import probe as module
from cnn_jax.runs.use.features import before_classifier
from cnn_jax.runs.use.probe import fit_probe
from cnn_jax.weights import WeightsError

CONFIG = Config(
    model=ModelConfig("resnet8_cifar", options={"width": 0.25}, conv="xla"),
    data=DataConfig("digits", batch_size=64, examples_per_class=20),
    train=TrainConfig(steps=2),
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("cnn_jax.runs.use.probe.STRENGTHS", (0.1, 1.0))
    return tmp_path / "cache" / "cnn_jax" / "features"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe") / "run"
    train(CONFIG, folder)
    return folder


@pytest.mark.slow
def test_a_probe_sees_the_features_before_the_classifier_and_keeps_them(run, cache, monkeypatch):
    seen = {}
    real = fit_probe
    monkeypatch.setattr(module, "fit_probe", lambda examples, say: seen.update(examples) or real(examples, say))
    first = probe(run, CONFIG)
    assert (first["cached"], first["features"], first["train"]["num_examples"]) == (False, 16, 200)
    opened = open_run(run)
    variables = opened.variables()
    for split in ("validation", "test"):
        data, (rows, labels) = opened.dataset(split), seen[split]
        images = data.images(np.arange(len(data))) / np.float32(255)
        images = (images - np.float32(opened.info.mean)) / np.float32(opened.info.std)
        pool = jax.jit(lambda images: features(opened.model, variables, images)["pool"])(images)
        np.testing.assert_allclose(rows, pool, atol=1e-5)
        np.testing.assert_array_equal(labels, data.labels)
    files = sorted(cache.iterdir())
    assert len(files) == 3
    again = probe(run, CONFIG)
    assert again["cached"] and {**again, "seconds": 0, "cached": 0} == {**first, "seconds": 0, "cached": 0}
    files[0].write_bytes(files[0].read_bytes()[:-30])
    assert not probe(run, CONFIG)["cached"] and probe(run, CONFIG)["cached"]  # a damaged file is made again
    other = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, examples_per_class=10))
    assert probe(run, other)["train"]["num_examples"] == 100
    assert len(list(cache.iterdir())) == 4  # of validation and test the same


@pytest.mark.slow
def test_a_run_and_its_file_give_the_same_probe(run, tmp_path):
    export_weights(run, tmp_path / "file.safetensors")
    from_run, from_file = (probe(weights, CONFIG) for weights in (run, tmp_path / "file.safetensors"))
    assert from_file["cached"] and from_run["test"] == from_file["test"]


def test_the_fit_is_a_minimum_of_the_regularised_loss_and_validation_chooses(monkeypatch):
    random = np.random.default_rng(0)
    centers = 2 * random.normal(size=(3, 4))
    splits = {}
    for split, count in (("train", 60), ("validation", 90), ("test", 90)):
        labels = random.integers(0, 3, count)
        splits[split] = (5 + 3 * (centers[labels] + random.normal(size=(count, 4))), labels.astype(np.int32))
    strength, figures = fit_probe(splits)
    rows, labels = splits["train"]
    rows = (rows - rows.mean(0)) / rows.std(0)
    # Plain gradient descent on the sum of losses times the strength, and half the squared norm of the weights.
    w, b, onehot = np.zeros((4, 3)), np.zeros(3), np.eye(3)[labels]
    for _ in range(20_000):
        shares = np.exp(rows @ w + b)
        error = shares / shares.sum(1, keepdims=True) - onehot
        w -= 0.2 * (rows.T @ error + w / strength) / 60
        b -= 0.2 * error.mean(0)
    logits = rows @ w + b
    assert figures["train"]["top1"] == pytest.approx((logits.argmax(1) == labels).mean())
    nll = -(logits - np.log(np.exp(logits).sum(1, keepdims=True)))[np.arange(60), labels].mean()
    assert figures["train"]["nll"] == pytest.approx(nll, abs=1e-3)
    chosen = {}
    for alone in (0.1, 1.0):
        monkeypatch.setattr(module, "STRENGTHS", (alone,))
        found = fit_probe(splits)[1]["validation"]
        chosen[found["top1"], -found["nll"]] = alone
    assert strength == chosen[max(chosen)]


@pytest.mark.slow
def test_the_command_reports_and_says_how_far_it_is(run, tmp_path, capsys):
    experiment = tmp_path / "digits.py"
    experiment.write_text(
        "from cnn_jax import *\n\ndef config():\n"
        "    model = ModelConfig('resnet8_cifar', options={'width': 0.25}, conv='xla')\n"
        "    return Config(model=model, data=DataConfig('digits', batch_size=64, examples_per_class=20))\n"
    )
    assert main(["probe", str(run), str(experiment), "--json"]) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out.splitlines()[-1])
    assert figures["test"]["num_examples"] == 359 and 0 < figures["test"]["top1"] <= 1
    assert "features, train: 200 images" in err and "fitting, 2 of 2: strength 1" in err
    assert main(["probe", str(run), str(experiment)]) == 0
    assert "16 features, kept from before" in capsys.readouterr().out


@pytest.mark.slow
def test_a_network_of_ones_own_is_probed_before_its_head(tmp_path):
    config = dataclasses.replace(CONFIG, model=ModelConfig(Small, conv="xla"))
    train(config, tmp_path / "run")
    assert probe(tmp_path / "run", config)["features"] == 256


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": {"validation_fraction": 0.0}}, ConfigError, "a probe chooses on the validation split"),
        ({"model": {"name": "lenet5", "options": {}}}, ConfigError, "lenet5 takes images of 32×32"),
        pytest.param(
            *({"model": {"name": "resnet20_cifar"}}, WeightsError, "does not hold this network's weights"),
            marks=pytest.mark.slow,
        ),
        ({"data": {"name": "cifar10"}}, UnpreparedError, "cifar10"),
    ],
    ids=["no_validation", "images", "another_network", "unprepared"],
)
def test_what_cannot_be_probed_is_refused(request, tmp_path, changes, error, message):
    run = request.getfixturevalue("run") if error is WeightsError else tmp_path  # the others end before it is looked at
    sections = {key: dataclasses.replace(getattr(CONFIG, key), **values) for key, values in changes.items()}
    with pytest.raises(error, match=message):
        probe(run, dataclasses.replace(CONFIG, **sections))


def test_the_hidden_layer_is_the_classifier_s():
    model = create_model("lenet5", options={"hidden": 7})
    variables = abstract_variables(model, (28, 28, 1))

    class Session:
        @staticmethod
        def logits(variables, images):
            return model.apply(variables, images, train=False)

    images = jax.ShapeDtypeStruct((2, 28, 28, 1), np.float32)
    assert jax.eval_shape(lambda *given: before_classifier(Session, *given), variables, images).shape == (2, 84)
