"""From the experiment file to the run folder: own code and data that changed are another experiment."""

import shutil

import numpy as np
import pytest
from PIL import Image

from cnn_jax.config import ConfigError, load_experiment
from cnn_jax.data.store import fingerprint as fingerprints
from cnn_jax.data.store.fingerprint import KEPT
from cnn_jax.data.store.root import find_prepared
from cnn_jax.runs import content, predict, train
from cnn_jax.runs.folder.run import RunError, read_run

SOURCE = """
import cnn_jax.runs.session as session
from cnn_jax import Config, DataConfig, ModelConfig, TrainConfig
from flax import linen as nn

class Small(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(self.num_classes, name="head")(images.reshape(len(images), -1))

def own(x):
    return x + 1  # one

session.a_name_of_this_test = own

def config():
    return Config(model=ModelConfig(Small, conv="xla", num_classes=10),
                  data=DataConfig("digits", 16, root={root!r}),
                  train=TrainConfig(steps=1))
"""


def test_a_changed_operator_or_label_is_another_experiment_and_a_changed_comment_is_not(tmp_path, monkeypatch):
    def again(old="", new="", root="a"):
        (tmp_path / "e.py").write_text(SOURCE.format(root=str(tmp_path / root)).replace(old, new))
        return train(load_experiment(tmp_path / "e.py"), tmp_path / "run")

    first = again()
    run, stored = read_run(tmp_path / "run"), (tmp_path / "run/config.json").read_bytes()
    assert run.config.model.num_classes is None  # ten is what the data set has
    assert run.content.code["files"].keys() == {"e.py"}
    assert run.content.data.keys() >= {"train", "test", "class_names"}

    assert again("# one", "# two").test == first.test
    assert again("num_classes=10", "num_classes=None").test == first.test
    with pytest.raises(ConfigError, match=r"another experiment.*\n  code: file e.py differs$"):
        again("x + 1", "x - 1")

    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert again(root="b").test == first.test  # the place does not count
    monkeypatch.setattr(content, "fingerprint", lambda *_, **__: run.content.data | {"train": "other"})
    with pytest.raises(ConfigError, match=r"another experiment.*\n  data: train differs$"):
        again()
    assert (tmp_path / "run/config.json").read_bytes() == stored

    image = tmp_path / "image.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(image)
    with pytest.raises(RunError, match="trained on another data set"):
        predict(tmp_path / "run", [image])  # what is kept beside the set is compared
    monkeypatch.undo()
    (find_prepared(tmp_path / "b", "digits") / KEPT).unlink()
    monkeypatch.setattr(fingerprints, "_digest_split", lambda *_: pytest.fail("the data set was read through"))
    assert len(predict(tmp_path / "run", [image])) == 1
