"""A run folder of each earlier version is listed, evaluated, opened and continued.

`folder/version_0_1` was made by version 0.1.0 with `train experiments/digits_lenet.py --train.steps 12
--train.checkpoint_every 8 --train.eval_every 8 --train.log_every 4 --model.options.width 0.125`, on one CPU, with the
versions that its `config.json` names. Its pictures are left out, and the path in which it lay.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

import cnn_jax

STORED = Path(__file__).parent / "folder" / "version_0_1"
RECIPE = Path(__file__).parents[2] / "experiments" / "digits_lenet.py"
CLOSE = {
    "rtol": 1e-3,
    "atol": 1e-5,
}  # other processors and versions round otherwise; 4 steps of a small rate amplify it


@pytest.fixture
def run(tmp_path):
    return Path(shutil.copytree(STORED, tmp_path / "run"))


def lines(run):
    """What metrics.jsonl holds, by step and split."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {(line["step"], line["split"]): line for line in found}


def test_it_is_read_and_evaluated_as_it_was(run):
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    (row,) = cnn_jax.list_runs(run)
    assert (row["state"], row["step"], row["steps"]) == ("finished", 12, 12)
    opened = cnn_jax.open_run(run)
    assert opened.steps == [8, 12] and opened.metrics()
    with pytest.warns(UserWarning, match="does not say what its data held: it is taken as it is now"):
        found = cnn_jax.evaluate(run)
    expected = lines(STORED)[12, "test"]
    for name in ("num_examples", "top1", "top5", "loss"):
        assert found[name] == pytest.approx(expected[name], rel=1e-3), name
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_it_is_continued(run):
    shutil.rmtree(run / "checkpoints" / "12")
    config = cnn_jax.load_experiment(RECIPE)
    config = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, options={"width": 0.125}),
        train=dataclasses.replace(config.train, steps=12, checkpoint_every=8, eval_every=8, log_every=4),
    )
    with pytest.warns(UserWarning, match="made by version 0.1"):
        assert cnn_jax.train(config, run).step == 12
    assert lines(run).keys() == lines(STORED).keys()
    trained, kept = (cnn_jax.open_run(folder).variables("latest") for folder in (run, STORED))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), trained, kept)
