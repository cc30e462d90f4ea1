"""What arms start from: trained once a seed, before them, and no arm itself."""

import dataclasses

import numpy as np
import pytest
from flax.traverse_util import flatten_dict

import cnn_jax
from cnn_jax.config import ConfigError
from cnn_jax.study.ablation import load_study
from cnn_jax.study.pool import _startable
from cnn_jax.study.run import entries, is_ready, run_study
from cnn_jax.study.stored import read_study

FILE = """
from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config(steps):
    return Config(
        model=ModelConfig("resnet8_cifar", options={"width": 0.25}, conv="xla"),
        data=DataConfig("digits", batch_size=32),
        optim=OptimConfig("sgd", learning_rate=0.2),
        train=TrainConfig(steps=steps),
    )


def ablation():
    arms = {"frozen": {"model.weights": "pretraining", "model.new_head": True, "optim.freeze": "(?!head)"}}
    return Ablation("Does it help?", config(2), arms, seeds=(0, 1), pretraining=config(3))
"""


@pytest.fixture
def study(tmp_path):
    (tmp_path / "file.py").write_text(FILE)
    return load_study(tmp_path / "file.py")


def names(found):
    return [(entry.arm, entry.seed) for entry in found]


def test_what_arms_start_from_comes_first_and_they_wait_for_it(study, tmp_path):
    found = entries(study, tmp_path / "studies")
    assert names(found) == [(arm, seed) for seed in (0, 1) for arm in ("pretraining", "base", "frozen")]
    assert [is_ready(entry) for entry in found] == [True, True, False] * 2
    assert found[5].config.model.weights == str(tmp_path / "studies" / "pretraining" / "seed-1")
    assert names(_startable(found, 4)) == [("pretraining", 0), ("base", 0), ("pretraining", 1), ("base", 1)]


@pytest.mark.slow
def test_a_study_with_pretraining_trains_it_once_a_seed_and_compares_the_arms(study, tmp_path):
    result = cnn_jax.ablate(tmp_path / "file.py", tmp_path / "studies")
    assert {entry.state for entry in result.runs} == {"finished"} and len(result.runs) == 6
    assert [row.arm for row in result.rows] == ["base", "frozen"]
    for seed in (0, 1):
        first, then = (
            cnn_jax.open_run(tmp_path / "studies" / arm / f"seed-{seed}") for arm in ("pretraining", "frozen")
        )
        assert (first.steps[-1], then.steps[-1]) == (3, 2)
        before, after = (flatten_dict(run.variables()["params"]) for run in (first, then))
        for path, leaf in before.items():
            assert np.array_equal(leaf, after[path]) == (path[0] != "head"), path
    trained = []
    assert not list(run_study(load_study(tmp_path / "file.py"), tmp_path / "studies", trained.append)) and not trained
    assert read_study(tmp_path / "studies").arms == ["base", "frozen"]


def test_what_no_arm_starts_from_is_refused(study, tmp_path):
    (tmp_path / "file.py").write_text(FILE.replace('"model.weights": "pretraining", "model.new_head": True, ', ""))
    with pytest.raises(ConfigError, match="no arm starts from its `pretraining`; leave it out"):
        load_study(tmp_path / "file.py")
    (tmp_path / "file.py").write_text(FILE.replace('"frozen"', '"pretraining"'))
    with pytest.raises(ConfigError, match="an arm is called 'pretraining'"):
        load_study(tmp_path / "file.py")


def test_an_arm_whose_start_failed_says_so_itself(study, tmp_path):
    entry = entries(study, tmp_path / "studies")[2]
    failed = dataclasses.replace(entry.after, folder=tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert is_ready(dataclasses.replace(entry, after=failed))
