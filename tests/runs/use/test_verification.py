"""A part of a run, trained again between two checkpoints: its bits agree, or the arrays that do not are named."""

import dataclasses
import json
import shutil

import pytest
from small_network import Small

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig, open_run, train, verify
from cnn_jax.cli import main
from cnn_jax.config import ConfigError
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.folder.stored import RunError

CONFIG = Config(
    model=ModelConfig(Small, conv="xla"),
    data=DataConfig("digits", batch_size=32, augment=("pad_crop(1)",)),
    optim=OptimConfig(learning_rate=0.2, ema_decay=0.9),
    train=TrainConfig(steps=8, log_every=3, eval_every=8, checkpoint_every=4, keep_checkpoints=5),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    train(CONFIG, run)
    return run


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("first", "last", "meant"),
    [
        (None, None, (4, 8)),
        *(pytest.param(*row, marks=pytest.mark.slow) for row in ((None, 4, (0, 4)), (0, 8, (0, 8)))),
    ],
)
def test_the_bits_of_a_run_agree(run, first, last, meant):
    before = contents(run)
    found = verify(run, first=first, last=last)
    assert found["equal"] and found["differing"] == [] and found["arrays"] > 20
    assert (found["first"], found["last"]) == meant and found["environment"] == {}
    assert contents(run) == before


def test_another_computation_is_found_and_named(run, monkeypatch, capsys):
    import cnn_jax.training.inputs as inputs

    exact = inputs.standardize
    monkeypatch.setattr(inputs, "standardize", lambda *args: exact(*args) * (1 + 1e-6))
    assert main(["verify", str(run), "--json"]) == 1
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert not found["equal"] and any(path.startswith("state.params.") for path in found["differing"])
    assert "state.step" not in found["differing"]


def test_the_command_says_so(run, capsys):
    assert main(["verify", str(run)]) == 0
    out = capsys.readouterr().out
    assert "from step 4 to 8 again: all" in out and "agree to the bit" in out and "8/8" not in out


def test_steps_that_are_not_saved_are_refused(run, tmp_path):
    for first, last, message in [
        (3, None, r"`--first` is 3, which is not saved; saved are \[0, 4, 8\]"),
        (None, 7, "`--last` is 7, which is not saved"),
        (8, 4, "`--first` is 8 and `--last` 4"),
    ]:
        with pytest.raises(ConfigError, match=message):
            verify(run, first=first, last=last)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(RunError, match="holds no checkpoint of a step yet"):
        verify(run)


def test_an_opened_run_gives_what_evaluation_gave(trained):
    run = open_run(trained)
    test = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])
    assert run.path == trained and run.config.model.name == "small_network:Small" and run.steps == [4, 8]
    assert run.info.class_names[3] == "3" and run.metrics()[-1] == test
    data, variables = run.dataset("test"), run.variables()
    right = run.logits(variables, data.images(range(len(data)))).argmax(1) == data.labels
    assert float(right.mean()) == pytest.approx(test["top1"], abs=1e-6)
    assert (
        set(variables) == {"params", "batch_stats"} and variables["params"].keys() == run.variables(4)["params"].keys()
    )
    assert run.variables("best")["params"].keys() == variables["params"].keys()
    image = run.preprocess(data.images([0])[0].repeat(2, 0).repeat(2, 1))
    assert image.shape == (8, 8, 1)


# The first evaluates at other parameters than it steps from.
@pytest.mark.parametrize("name", ["optax.contrib:schedule_free_sgd", pytest.param("adamw", marks=pytest.mark.slow)])
def test_variables_do_not_depend_on_the_optimiser(tmp_path, name):
    optim = OptimConfig(name, {}, learning_rate=0.01, schedule="constant", ema_decay=None)
    config = dataclasses.replace(CONFIG, optim=optim, train=TrainConfig(steps=4))
    result = train(config, tmp_path / "run")
    run = open_run(tmp_path / "run")
    data = run.dataset("test")
    right = run.logits(run.variables(), data.images(range(len(data)))).argmax(1) == data.labels
    assert float(right.mean()) == pytest.approx(result.test["top1"], abs=1e-6)
    assert Checkpoints(tmp_path / "run" / "checkpoints", read_only=True).steps == [4]
