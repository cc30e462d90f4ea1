"""`study.json` holds what a study asks, to the last key, and is believed only as it was written."""

import json

import pytest

from cnn_jax.config import ConfigError, key_differences
from cnn_jax.runs.folder.files import json_crc32
from cnn_jax.runs.folder.stored import RunError
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.study.ablation import load_study
from cnn_jax.study.stored import read_study, store_study

FILE = """
from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig
from dataclasses import replace


def focal(logits, targets, gamma=2.0):
    return logits.sum(1)


def ablation():
    base = Config(model=ModelConfig("resnet8_cifar"), data=DataConfig("digits"))
    arms = {
        "narrow": {"model.options.width": 0.25},
        "focal": {"train.loss": focal},
        "by seed": lambda base, seed: replace(base, optim=OptimConfig("sgd", learning_rate=0.1 + seed)),
    }
    return Ablation("Why?", base, arms, seeds=(3, 5), metric="nll")
"""


@pytest.fixture
def study(tmp_path):
    (tmp_path / "why.py").write_text(FILE)
    return load_study(tmp_path / "why.py")


def test_what_is_read_is_what_was_stored(study, tmp_path):
    store_study(study, tmp_path / "new")
    found = read_study(tmp_path / "new")
    assert (found.name, found.question, found.metric) == ("why", "Why?", "nll")
    assert found.arms == ["base", "narrow", "focal", "by seed"] and list(found.configs) == list(study.configs)
    for key, config in study.configs.items():
        assert not key_differences(found.configs[key], resolve_parts(config)), key
        assert found.configs[key].seed == key[1]
    assert found.code["focal"]["digest"] == study.configs["focal", 3].code.digest
    again = (tmp_path / "new/study.json").read_bytes()
    store_study(study, tmp_path / "new")
    assert (tmp_path / "new/study.json").read_bytes() == again


def test_a_folder_without_it_is_no_study(tmp_path):
    assert read_study(tmp_path) is None


def rewritten(change):
    def edit(path):
        content = json.loads(path.read_text())
        change(content)
        del content["checksum"]
        path.write_text(json.dumps({"checksum": json_crc32(content), **content}))

    return edit


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda path: path.write_text(path.read_text()[:-20]), "delimiter"),
        (lambda path: path.write_text("[]"), "attribute"),
        (lambda path: path.write_text(path.read_text().replace("Why?", "What?")), "checksum is another"),
        (rewritten(lambda c: c.update(schema=7)), "its schema is 7"),
        (rewritten(lambda c: c.update(question=3)), "3 stands where a text belongs"),
        (rewritten(lambda c: c["arms"].update({"../../etc": c["arms"]["narrow"]})), "names no folder of the study"),
        (rewritten(lambda c: c["arms"]["base"]["config"].update({"optim.lerning_rate": 1})), "optim.lerning_rate"),
        (rewritten(lambda c: c["arms"].pop("base")), "its first arm is not 'base'"),
    ],
)
def test_a_damaged_or_strange_one_is_a_sentence(study, tmp_path, edit, why):
    store_study(study, tmp_path)
    edit(tmp_path / "study.json")
    with pytest.raises(RunError, match=f"study.json` cannot be read as a study: .*{why}.*cnn-jax ablate"):
        read_study(tmp_path)


def test_an_arm_that_names_no_function_is_told_before_anything_is_trained(tmp_path):
    (tmp_path / "why.py").write_text(FILE.replace('{"train.loss": focal}', '{"train.loss": "fokal"}'))
    with pytest.raises(ConfigError, match=r"the arm 'focal': .*fokal"):
        store_study(load_study(tmp_path / "why.py"), tmp_path)
    assert not (tmp_path / "study.json").exists()
