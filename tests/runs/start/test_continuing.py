"""A run that begins from the whole state of another: to the bit the same run, or one that switches at that step."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from small_network import Small

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig, open_run, train, verify
from cnn_jax.cli import main
from cnn_jax.config import ConfigError, check_types
from cnn_jax.runs.folder.checkpoint import CheckpointError, Checkpoints
from cnn_jax.runs.folder.stored import RunError, read_run
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.session import open_session
from cnn_jax.runs.start.initial_state import initial_state

CONFIG = Config(
    model=ModelConfig(Small, conv="xla"),
    data=DataConfig("digits", batch_size=32, augment=("pad_crop(1)",)),
    optim=OptimConfig(learning_rate=0.2, warmup_fraction=0.5, ema_decay=0.9),
    train=TrainConfig(steps=8, log_every=3, eval_every=8, checkpoint_every=2, keep_checkpoints=5),
)

RESIZED = DataConfig("digits", batch_size=32, augment=("resize(28)",), eval_augment=("resize(28)",))
LENET = dataclasses.replace(CONFIG, model=ModelConfig("lenet5"), data=RESIZED)


def changed(*, steps=8, **optim):
    optim, lengths = dataclasses.replace(CONFIG.optim, **optim), dataclasses.replace(CONFIG.train, steps=steps)
    return dataclasses.replace(CONFIG, optim=optim, train=lengths)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = tmp_path_factory.mktemp("parent") / "run"
    train(CONFIG, run)
    return run


@pytest.fixture
def parent(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "parent")


def sums(run, step):
    return Checkpoints(run / "checkpoints", read_only=True).manifest(step).sums_by_path()


def lines(run, after):
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in r.items() if not k.startswith("time/")} for r in rows if r["step"] > after]


def test_without_a_change_it_is_the_run_uninterrupted(parent, tmp_path):
    result = train(CONFIG, tmp_path / "child", parent=f"{parent}@4")
    assert sums(tmp_path / "child", 8) == sums(parent, 8) != sums(parent, 4)
    assert lines(tmp_path / "child", 0) == lines(parent, 4) and result.test is not None


def switched(first, second, at):
    """The state of a run that takes another step function from a step on, in a loop of its own."""
    sessions = [open_session(resolve_parts(check_types(config))) for config in (first, second)]
    carry, batches = sessions[0].carry(initial_state(sessions[0])), sessions[0].training_batches(0)
    steps = [session.compile_train_step() for session in sessions]
    for number in range(second.train.steps):
        carry, _ = steps[number >= at](carry, sessions[0].layout.put(next(batches)))
    return carry["state"]


@pytest.mark.parametrize(
    "change",
    [{"steps": 10}, pytest.param({"learning_rate": 0.05, "schedule": "constant"}, marks=pytest.mark.slow)],
    ids=["longer", "another schedule"],
)
def test_with_a_change_it_is_a_run_that_switches_at_that_step(parent, tmp_path, change):
    config = changed(**change)
    train(config, tmp_path / "child", parent=f"{parent}@4")
    there = open_run(tmp_path / "child")
    expected = switched(CONFIG, config, 4).eval_variables
    same = jax.tree.map(lambda a, b: np.array_equal(a, b), jax.device_get(expected), there.variables())
    assert all(jax.tree.leaves(same))
    assert sums(tmp_path / "child", 8) != sums(parent, 8)


def test_what_becomes_of_the_rate_is_said(parent, tmp_path, capsys):
    train(changed(learning_rate=0.8, schedule="constant"), tmp_path / "child", parent=f"{parent}@4")
    said = capsys.readouterr().err
    # 0.2 and 0.8 at batch 256 are 0.025 and 0.1 at 32; the warm-up takes four steps, and step 3 ended at 2/4 of it
    assert f"going on from `{parent}` at step 4 of 8, to 8: the learning rate of the next step is 0.1" in said
    assert "it was 0.0125 there in step 3" in said


def test_the_parent_is_not_needed_once_the_run_has_begun(parent, tmp_path, monkeypatch):
    given, child = f"{parent}@4", tmp_path / "child"
    saved = Checkpoints.save

    def killed(self, step, *args, **kwargs):
        if step == 6:
            raise RuntimeError("killed")
        saved(self, step, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(Checkpoints, "save", killed)
        train(CONFIG, child, parent=given)
    expected = sums(parent, 8)
    shutil.rmtree(parent)
    with pytest.raises(ConfigError, match=f"began from another run: `--from {given}` continues it"):
        train(CONFIG, child)
    train(CONFIG, child, parent=given)
    assert sums(child, 8) == expected


@pytest.mark.usefixtures("untrained")
def test_the_parent_and_its_step_stand_in_the_identity(parent, tmp_path):
    identity = read_run(parent).identity
    for step in (4, 6):
        train(changed(steps=9), tmp_path / f"{step}", parent=f"{parent}@{step}")
    names = [read_run(tmp_path / f"{step}").identity for step in (4, 6)]
    assert len({identity, *names}) == 3
    assert read_run(tmp_path / "4").content.flat()["parent"] == f"{identity}@4"
    with pytest.raises(ConfigError, match="parent"):
        train(changed(steps=9), tmp_path / "4", parent=f"{parent}@6")


@pytest.mark.slow
def test_its_first_steps_can_be_repeated(parent, tmp_path):
    child = tmp_path / "child"
    train(CONFIG, child, parent=f"{parent}@4")
    shutil.rmtree(child / "checkpoints" / "4")
    assert verify(child, first=4, last=6)["equal"]
    with pytest.raises(ConfigError, match=r"`--first` is 0, which is not saved; saved are \[4, 6, 8\]"):
        verify(child, first=0)


def test_the_flag_reaches_the_run(experiment, parent, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr("cnn_jax.runs.trainer.find_parent", lambda *args: given.append(args[0]) or 1 / 0)
    assert main(["train", str(experiment), "--workdir", str(tmp_path / "child"), "--from", f"{parent}@4"]) == 1
    assert given == [f"{parent}@4"] and not (tmp_path / "child").exists()


@pytest.mark.parametrize(
    ("suffix", "config", "error", "message"),
    [
        ("", CONFIG, ConfigError, "is at step 8, and this run has 8 steps; ask for a longer one by `train.epochs`"),
        ("@5", CONFIG, CheckpointError, r"step 5 of .* was not saved; saved are \[2, 4, 6, 8\]"),
        ("@x", CONFIG, ConfigError, "after @ comes a step, latest or best, and not 'x'"),
        ("x", CONFIG, RunError, "there is no folder"),
        ("@4", changed(name="adamw"), ConfigError, "does not fit this run: only the run, not the checkpoint, has"),
        ("@4", changed(ema_decay=None), ConfigError, "only the checkpoint, not the run, has state.ema"),
        ("@4", LENET, ConfigError, "has state.params.*use `model.weights`"),
    ],
)
def test_what_it_cannot_begin_from_is_said_and_leaves_no_folder(parent, tmp_path, suffix, config, error, message):
    with pytest.raises(error, match=message):
        train(config, tmp_path / "child", parent=f"{parent}{suffix}")
    assert not (tmp_path / "child").exists()


def test_a_run_does_not_begin_from_itself(tmp_path):
    with pytest.raises(ConfigError, match="the run's own --workdir"):
        train(CONFIG, tmp_path / "run", parent=str(tmp_path / "run"))


def test_one_published_network_is_none_of_another(parent, tmp_path, monkeypatch):
    names = iter(["resnet50", "resnet50_v1"])  # the same arrays, another stride
    monkeypatch.setattr("cnn_jax.runs.start.continuing.named_parts", lambda _: {"model.name": next(names)})
    with pytest.raises(ConfigError, match=r"is of resnet50, and this run of resnet50_v1:"):
        train(CONFIG, tmp_path / "child", parent=f"{parent}@4")
