"""An ablation is checked like a configuration: each bad study gets its sentence."""

import pytest

from cnn_jax.config import ConfigError, flatten
from cnn_jax.study.ablation import grid, load_study

HEAD = """
from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig, grid
from dataclasses import replace
from flax import linen as nn


def focal(logits, targets, gamma=2.0):
    return logits.sum(1)


class Net(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x, *, train):
        return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


BASE = Config(model=ModelConfig("resnet8_cifar", options={"width": 0.25}), data=DataConfig("digits"))
"""


@pytest.fixture
def study(tmp_path):
    def load(arms, **fields):
        more = "".join(f", {key}={value}" for key, value in fields.items())
        path = tmp_path / "question.py"
        path.write_text(f"{HEAD}\ndef ablation():\n    return Ablation('Why?', BASE, {arms}{more})\n")
        return load_study(path)

    return load


def test_every_arm_has_every_seed_and_the_base_comes_first(study):
    found = study("{'fast': {'optim.learning_rate': 0.4}}", seeds="(3, 5)")
    assert list(found.configs) == [("base", 3), ("fast", 3), ("base", 5), ("fast", 5)]
    assert found.name == "question" and found.arms == ["base", "fast"]
    assert [config.seed for config in found.configs.values()] == [3, 3, 5, 5]
    base, fast = flatten(found.configs["base", 5]), flatten(found.configs["fast", 5])
    assert {key for key in base if base[key] != fast[key]} == {"optim.learning_rate"}


def test_arms_are_values_functions_and_parts_of_ones_own(study):
    found = study(
        "{'loss': {'train.loss': focal}, 'net': {'model.name': Net, 'optim.name': 'adamw'},"
        " 'function': lambda base: replace(base, optim=OptimConfig('sgd', learning_rate=0.7)),"
        " 'by seed': lambda base, seed: replace(base, optim=OptimConfig('sgd', learning_rate=0.1 + seed))}",
        seeds="(1, 2)",
    )
    assert found.configs["loss", 1].train.loss == ":focal" and found.configs["loss", 1].code.digest
    net = found.configs["net", 1]
    assert net.model.name == ":Net" and not net.model.options and not net.optim.arguments
    assert found.configs["function", 2].optim.learning_rate == 0.7
    assert [found.configs["by seed", seed].optim.learning_rate for seed in (1, 2)] == [1.1, 2.1]
    assert {config.name for config in found.configs.values()} == {"question"}


def test_a_grid_has_an_arm_for_every_combination():
    arms = grid({"optim.learning_rate": [0.1, 0.2], "train.epochs": [5, 6]})
    assert len(arms) == 4
    assert arms["learning_rate=0.2, epochs=5"] == {"optim.learning_rate": 0.2, "train.epochs": 5}


@pytest.mark.parametrize(
    ("arms", "fields", "sentence"),
    [
        ("{'a': {'optim.lerning_rate': 1.0}}", {}, r"the arm 'a': `optim.lerning_rate` .*learning_rate"),
        ("{'a': {'optim.learning_rate': 'fast'}}", {}, r"the arm 'a': `optim.learning_rate`"),
        ("{'a': {'optim.learning_rate': 0.3}, 'b': {'optim.learning_rate': 0.3}}", {}, "'a' and 'b' are the same"),
        ("{'a': {}}", {}, "'base' and 'a' are the same experiment"),
        ("{}", {}, "no arm beside the base"),
        ("{'base': {'seed': 3}}", {}, "an arm is called 'base'"),
        ("{'a/b': {'train.epochs': 3}}", {}, "a folder's"),
        ("{'a': {'train.epochs': 3}}", {"seeds": "(1,)"}, "1 seed: two show a spread, and 6 can decide"),
        ("{'a': {'train.epochs': 3}}", {"seeds": "(1, 1)"}, "not all different"),
        ("{'a': {'train.epochs': 3}}", {"metric": "'top3'"}, "`metric` is 'top3'; its runs log top1, top5, loss"),
        ("{'a': {'train.test': 'never'}}", {}, "the arm 'a': `train.test` is never"),
        ("{'a': {'data.name': 'mnist'}}", {}, "the arm 'a' has `data.name` mnist, and the base digits: their test"),
        ("{'a': lambda base: 3}", {}, "the arm 'a' of .* must return a Config, got int"),
        ("{'a': lambda base: base.nothing}", {}, r"line \d+: .*nothing"),
    ],
)
def test_a_bad_study_is_refused_with_a_sentence(study, arms, fields, sentence):
    with pytest.raises(ConfigError, match=sentence):
        study(arms, **fields)


def test_a_file_without_an_ablation_says_what_it_lacks(tmp_path):
    (tmp_path / "e.py").write_text("from cnn_jax import Config\ndef config():\n    return Config()\n")
    with pytest.raises(ConfigError, match=r"must define `ablation\(\)`, .* returns a cnn_jax.Ablation"):
        load_study(tmp_path / "e.py")
    (tmp_path / "e.py").write_text("def ablation():\n    return 3\n")
    with pytest.raises(ConfigError, match=r"must return a cnn_jax.Ablation, got int"):
        load_study(tmp_path / "e.py")
