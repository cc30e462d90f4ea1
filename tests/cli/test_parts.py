"""What an experiment can name is listed, whole, with its arguments."""

import json

import optax
import pytest

from cnn_jax.cli import main
from cnn_jax.cli.parts import _optimizers
from cnn_jax.data.augmentation.chain import AUGMENTATIONS
from cnn_jax.models import list_models
from cnn_jax.models.published import PUBLISHED
from cnn_jax.training.losses import LOSSES


@pytest.fixture
def rows(capsys):
    assert main(["parts", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["parts"]


def test_every_part_of_ours_is_listed_once_with_a_sentence(rows):
    by_key = {}
    for row in rows:
        by_key.setdefault(row["key"], []).append(row["name"])
        assert row["about"].strip(".")
    assert by_key["data.augment"] == list(AUGMENTATIONS) and by_key["train.loss"] == list(LOSSES)
    assert by_key["optim.schedule"] == ["constant", "cosine", "step"] and by_key["optim.gradient"] == ["plain", "sam"]
    assert by_key["optim.name"][:3] == ["sgd", "adamw", "lamb"] and by_key["data.mix"] == ["mixup", "cutmix"]


def test_arguments_are_those_of_ones_own_with_their_defaults(rows):
    arguments = {row["name"]: row["arguments"] for row in rows}
    assert arguments["horizontal_flip"] == "probability=0.5" and arguments["rotate90"] == ""
    assert arguments["cosine"] == "alpha=0.0, exponent=1.0" and arguments["softmax_cross_entropy"] == ""


def test_optimisers_of_optax_are_found_in_whatever_form_they_come():
    assert {"lion", "nadam", "sgd", "lbfgs"} <= set(_optimizers(optax))  # `nadam` is a partial
    assert {"muon", "dog", "sophia"} <= set(_optimizers(optax.contrib))
    assert not {"dpsgd", "schedule_free", "scale_by_adam"} & {*_optimizers(optax), *_optimizers(optax.contrib)}


def test_the_tables_for_people_hold_every_row(capsys, rows):
    assert main(["parts"]) == 0
    text = capsys.readouterr().out
    assert all(row["name"] in text for row in rows)
    assert main(["models"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table[1:]] == list_models()
    assert all(about.paper in line for about, line in zip(PUBLISHED.values(), table[1:], strict=True))
