"""A search is checked like a configuration: each bad one gets its sentence; its rounds go from wide to narrow."""

import math

import pytest

from cnn_jax.config import ConfigError, flatten
from cnn_jax.study.search import Range, load_search, log_range

HEAD = """
from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, Search, TrainConfig, log_range

BASE = Config(model=ModelConfig("resnet8_cifar", options={"width": 0.25}), data=DataConfig("digits"))
RATE = {"optim.learning_rate": log_range(0.001, 10)}
"""


@pytest.fixture
def plan(tmp_path):
    def load(arguments, name="question.py"):
        path = tmp_path / name
        path.write_text(f"{HEAD}\ndef search():\n    return Search({arguments})\n")
        return load_search(path)

    return load


def test_a_trial_has_the_values_and_never_looks_at_test(plan):
    found = plan("BASE, {**RATE, 'model.options.width': log_range(0.1, 1)}")
    values = {"optim.learning_rate": 0.25, "model.options.width": 0.5}
    base, trial, result = map(flatten, (found.search.base, found.trial(values), found.found(values)))
    assert {key: trial[key] for key in base if base[key] != trial[key]} == {**values, "train.test": "never"}
    assert result == trial | {"train.test": "end"}
    assert found.name == "question" == found.trial(values).name


def test_each_round_has_a_quarter_of_the_range_before_around_the_best(plan):
    found = plan("BASE, {'optim.learning_rate': log_range(0.0001, 10)}")
    widths = []
    for number in (1, 2, 3):
        span = found.space(number, {"optim.learning_rate": 0.1})["optim.learning_rate"]
        widths.append(math.log10(span.high / span.low))
        assert number == 1 or span.high / 0.1 == pytest.approx(0.1 / span.low)
    assert widths == pytest.approx([5, 5 / 4, 5 / 16])


def test_a_narrow_range_stays_within_the_wide_one():
    assert log_range(1, 1e4).around(2, 4) == Range(1, 2 * math.sqrt(10))
    assert log_range(1, 1e4).around(1e4, 4) == Range(1e4 / math.sqrt(10), 1e4)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("BASE, {}", "nothing to search"),
        (
            "BASE, {'optim.lerning_rate': log_range(0.1, 1)}",
            r"`optim.lerning_rate` .*Did you mean `optim.learning_rate`",
        ),
        ("BASE, {'optim.learning_rate': (0.1, 1)}", r"`optim.learning_rate` is \(0.1, 1\); give a range, as"),
        ("BASE, {'optim.learning_rate': log_range(1, 0.1)}", "`optim.learning_rate` from 1 to 0.1: a range"),
        ("BASE, {'optim.learning_rate': log_range(1, 1)}", "from 1 to 1: a range"),
        ("BASE, {'optim.learning_rate': log_range(0, 1)}", "from 0 to 1: a range of orders of magnitude begins above"),
        ("BASE, {'optim.learning_rate': log_range(1, float('inf'))}", "from 1 to inf"),
        ("BASE, {'data.batch_size': log_range(16, 64)}", "`data.batch_size` must be int, got 16.0"),
        ("BASE, {'optim.label_smoothing': log_range(0.01, 2)}", "`optim.label_smoothing` is 2.0: it must lie from 0"),
        ("BASE, RATE, metric='top3'", "`metric` is 'top3'; it is one of top1, top5, loss"),
        ("BASE, RATE, sampler='grid'", "`sampler` is 'grid'; it is random or tpe"),
        ("BASE, RATE, trials=0", "`trials` is 0; it must be a number from 1 on"),
        ("BASE, RATE, rounds=1.5", "`rounds` is 1.5"),
        ("Config(data=DataConfig(validation_fraction=0)), RATE", "no validation split to select on"),
        ("Config(optim=OptimConfig(learning_rate='fast')), RATE", "`optim.learning_rate` must be float"),
    ],
)
def test_a_bad_search_is_refused_with_a_sentence(plan, arguments, sentence):
    with pytest.raises(ConfigError, match=sentence):
        plan(arguments)


def test_a_file_without_a_search_says_what_it_lacks(tmp_path):
    (tmp_path / "e.py").write_text("from cnn_jax import Config\ndef config():\n    return Config()\n")
    with pytest.raises(ConfigError, match=r"must define `search\(\)`, .* returns a cnn_jax.Search"):
        load_search(tmp_path / "e.py")
