"""The loop around the step: what stands in the folder does not depend on how often it is saved, or on when it ends."""

import dataclasses
import functools
import importlib
import json
import os
import shutil
import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_network import Small
from stored_run import lines

from cnn_jax import Config, DataConfig, ModelConfig, TrainConfig, train
from cnn_jax.cli import main
from cnn_jax.config import load_experiment
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.folder.events import EventWriter, cut_events, line_of, read_records
from cnn_jax.runs.folder.lock import only_training
from cnn_jax.runs.folder.metrics_file import RunError
from cnn_jax.runs.folder.stored import read_run
from cnn_jax.runs.log_window import LogWindow
from cnn_jax.training.finite import not_finite

TINY = ["--train.steps", "12", "--train.log-every", "4", "--model.conv", "xla", "--data.batch-size", "16"]


def run(experiment, folder, *flags):
    return main(["train", str(experiment), "--workdir", str(folder), *TINY, *flags])


def files(folder):
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()
    }


@pytest.fixture(scope="module")
def finished(experiment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert run(experiment, folder, "--train.checkpoint-every", "6", "--train.eval-every", "6") == 0
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.mark.parametrize("saves", [("5", "12"), pytest.param(("1", "100"), marks=pytest.mark.slow)])
def test_training_lines_do_not_depend_on_checkpoints_and_evaluations(finished, experiment, tmp_path, saves):
    every = ("--train.checkpoint-every", saves[0], "--train.eval-every", saves[1])
    assert run(experiment, tmp_path / "run", *every) == 0
    found = lines(tmp_path / "run", "train")
    assert found == lines(finished, "train")
    assert [line["step"] for line in found] == [4, 8, 12]
    assert lines(tmp_path / "run", "test") == lines(finished, "test")


def test_a_finished_run_is_touched_in_no_byte(copy, experiment, capsys):
    before = files(copy)
    assert run(experiment, copy, "--train.checkpoint-every", "6", "--train.eval-every", "6") == 0
    assert "this run is finished" in capsys.readouterr().err
    after = files(copy)
    assert {k: v for k, v in after.items() if k != ".lock"} == {k: v for k, v in before.items() if k != ".lock"}


def shown(folder):
    return [(r.event.step, r.line) for r in read_records(folder)[0] if r.line]


@pytest.mark.parametrize(
    "lost", ["curves.png", pytest.param("predictions.png", marks=pytest.mark.slow), "the test line", "the test event"]
)
def test_what_a_kill_at_the_end_left_undone_is_made_up_for(copy, finished, experiment, lost):
    path = copy / "metrics.jsonl"
    whole = path.read_text()
    if lost == "the test event":
        records = [record.event for record in read_records(copy)[0]]
        (copy / EventWriter.FILE_NAME).unlink()
        writer = EventWriter(copy)
        for event in records[1:]:
            if '"test"' not in (line_of(event) or ""):
                writer.write(event)
        writer.close()
    elif lost == "the test line":
        path.write_text(whole[: whole.index('{"step": 12, "split": "test"')])
        (copy / EventWriter.FILE_NAME).unlink()
        (copy / "curves.png").unlink()
    else:
        (copy / lost).unlink()
    assert run(experiment, copy) == 0
    assert (copy / "curves.png").exists() and (copy / "predictions.png").exists()
    assert lines(copy) == lines(finished)
    assert shown(copy) == shown(finished)


def test_a_state_that_is_not_finite_is_never_saved(experiment, tmp_path, capsys, monkeypatch):
    """NaN that arrives in the parameters alone, at a step without a line."""
    from cnn_jax.runs import session as sessions

    real = sessions.Session.compile_train_step

    def compile_train_step(self, first=0):
        step = real(self, first)

        def spoiled(carry, batch):
            carry, made = step(carry, batch)
            if int(made) == 5:
                params = jax.tree.map(lambda x: x.at[(0,) * x.ndim].set(jnp.nan), carry["state"].params)
                carry["state"] = dataclasses.replace(carry["state"], params=params)
            return carry, made

        return spoiled

    monkeypatch.setattr(sessions.Session, "compile_train_step", compile_train_step)
    flags = ("--train.checkpoint-every", "1", "--train.eval-every", "100", "--train.log-every", "100")
    assert run(experiment, tmp_path / "run", *flags) == 1
    assert "the state after step 5 is not finite (NaN or infinity in params." in capsys.readouterr().err
    assert Checkpoints(tmp_path / "run" / "checkpoints", read_only=True).steps[-1] == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_names_the_leaf(value):
    tree = {"a": jnp.ones(3), "b": {"c": jnp.array([1.0, value], jnp.bfloat16)}, "n": jnp.int32(2)}
    assert not_finite(tree) == ["b.c"]
    assert not_finite({"a": jnp.ones(3), "n": jnp.int32(2)}) == []
    assert not_finite({}) == []


def test_a_removed_folder_ends_the_run(experiment, tmp_path, monkeypatch):
    from cnn_jax.runs.folder.run import RunWriter

    real, folder = RunWriter.write, tmp_path / "run"

    def write(self, step, split, values):
        real(self, step, split, values)
        if step == 4:
            shutil.rmtree(folder)

    monkeypatch.setattr(RunWriter, "write", write)
    with pytest.raises(RunError, match="was removed or replaced while it was written"):
        train(small(experiment), folder)


def small(experiment):
    config = load_experiment(experiment)
    return dataclasses.replace(
        config, train=dataclasses.replace(config.train, steps=8, log_every=2, checkpoint_every=8)
    )


def test_a_second_training_in_the_process_is_refused(experiment, tmp_path):
    found = []

    def second():
        try:
            train(small(experiment), tmp_path / "run")
        except RunError as error:
            found.append(str(error))

    with only_training():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert found and "another training runs in this process" in found[0]
    assert not (tmp_path / "run").exists()


def test_a_path_that_would_be_misread_is_a_usage_error_before_training(experiment, tmp_path, capsys):
    assert run(experiment, tmp_path / "lenet[lr=0.1]") == 2
    assert "[" in capsys.readouterr().err
    assert not (tmp_path / "lenet[lr=0.1]").exists()


def test_a_run_whose_checkpoints_are_gone_is_refused_each_time(copy, experiment, capsys):
    shutil.rmtree(copy / "checkpoints")
    before = (copy / "metrics.jsonl").read_bytes()
    for _ in range(2):
        assert run(experiment, copy) == 1
        assert "was saved, and is gone" in capsys.readouterr().err
    assert (copy / "metrics.jsonl").read_bytes() == before


def test_eval_of_a_damaged_latest_names_the_file_and_the_other_steps(copy, capsys):
    for path in (copy / "checkpoints" / "12" / "tree" / "d").iterdir():
        path.unlink()
    capsys.readouterr()
    assert main(["eval", str(copy), "--json"]) == 1
    said = capsys.readouterr().err
    assert f"checkpoint 12 in {copy / 'checkpoints'} is damaged" in said and "Other steps saved: [6]" in said
    assert "Traceback" not in said


def test_eval_says_when_the_latest_is_gone(copy, capsys):
    shutil.rmtree(copy / "checkpoints" / "12")
    capsys.readouterr()
    assert main(["eval", str(copy), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out.splitlines()[-1])["step"] == 6
    assert "trained to step 12, whose checkpoint is gone" in captured.err


@pytest.fixture(scope="module")
def stopped(finished, tmp_path_factory):
    """The same run as it was when it was killed right after its second checkpoint was on disk."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("stopped") / "run")
    cut_events(folder, max(record.end for record in read_records(folder)[0] if record.event.step <= 11))
    writer = EventWriter(folder)
    writer.write_saved(12)
    writer.close()
    text = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text(text[: text.index('{"step": 12')])
    for name in ("curves.png", "predictions.png"):
        (folder / name).unlink()
    return folder


@pytest.mark.parametrize("how", ["removed", pytest.param("renamed", marks=pytest.mark.slow)])
def test_a_newest_checkpoint_that_is_gone_is_missed_by_name(stopped, finished, experiment, tmp_path, capsys, how):
    folder = shutil.copytree(stopped, tmp_path / "run")
    newest = folder / "checkpoints" / "12"
    newest.rename(folder / "checkpoints" / "12.old" if how == "renamed" else tmp_path / "away")
    gone = f"checkpoint 12 in {folder / 'checkpoints'} is gone: {EventWriter.FILE_NAME} notes that it was saved"
    capsys.readouterr()
    assert main(["eval", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["step"] == 6 and gone in err
    assert run(experiment, folder, "--train.checkpoint-every", "6", "--train.eval-every", "6") == 0
    err = capsys.readouterr().err
    assert gone in err and "Nothing is damaged: training goes on from step 6" in err
    assert lines(folder) == lines(finished)
    assert main(["eval", str(folder), "--json"]) == 0
    assert "is gone" not in capsys.readouterr().err


def test_a_checkpoint_moved_aside_is_missed_once(stopped, experiment, tmp_path, capsys):
    folder = shutil.copytree(stopped, tmp_path / "run")
    (folder / "checkpoints" / "12" / "checksum" / "metadata").write_text("[")
    assert run(experiment, folder, "--train.checkpoint-every", "6", "--train.eval-every", "6") == 0
    err = capsys.readouterr().err
    assert "It was moved to" in err and "is gone" not in err


def top1s(folder):
    return {line["step"]: line["top1"] for line in lines(folder, "validation")}


@pytest.mark.parametrize("where", ["away", "damaged"])
def test_best_never_falls_to_another_step(copy, tmp_path, capsys, where):
    best = max(top1s(copy), key=lambda step: (top1s(copy)[step], step))
    assert main(["eval", str(copy), "--step", "best", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["step"] == best
    (copy / "damaged").mkdir()
    (copy / "checkpoints" / str(best)).rename(copy / where / str(best) if where == "damaged" else tmp_path / "away")
    assert main(["eval", str(copy), "--step", "best", "--json"]) == 1
    err = capsys.readouterr().err
    assert f"the best checkpoint, {best} in {copy / 'checkpoints'}, is gone" in err and "saved are [" in err


def test_best_is_best_though_another_is_gone(copy, capsys):
    best = max(top1s(copy), key=lambda step: (top1s(copy)[step], step))
    shutil.rmtree(copy / "checkpoints" / str(18 - best))
    assert main(["eval", str(copy), "--step", "best", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["step"] == best


@pytest.mark.parametrize("name", ["loss", pytest.param("nll", marks=pytest.mark.slow)])
def test_a_test_loss_that_is_not_finite_is_never_written(copy, experiment, capsys, monkeypatch, name):
    from cnn_jax.runs import loop

    text = (copy / "metrics.jsonl").read_text()
    (copy / "metrics.jsonl").write_text(text[: text.index('{"step": 12, "split": "test"')])
    (copy / EventWriter.FILE_NAME).unlink()
    (copy / "curves.png").unlink()
    real = loop.evaluate_split

    def overflows(*args):
        values, predictions = real(*args)
        return values | {name: float("inf")}, predictions

    monkeypatch.setattr(loop, "evaluate_split", overflows)
    for _ in range(2):
        assert run(experiment, copy) == 1
        assert f"the test {name} at step 12 is not finite" in capsys.readouterr().err
    assert lines(copy, "test") == []
    assert json.loads((copy / "config.json").read_text())["record"][-1]["ended"] == "diverged"


@pytest.mark.parametrize("what", ["state", "test line"])
def test_a_finished_run_that_is_not_finite_does_not_end_well(copy, experiment, capsys, monkeypatch, what):
    """As 0.1 left them: its checkpoints and lines were not looked at."""
    from cnn_jax.runs import loop
    from cnn_jax.runs.folder.run import RunWriter

    real = RunWriter.start
    if what == "state":
        monkeypatch.setattr(loop, "not_finite", lambda state: ["params.kernel"])
    else:
        monkeypatch.setattr(RunWriter, "start", lambda *args: real(*args) | {"loss": None})
    assert run(experiment, copy) == 1
    err = capsys.readouterr().err
    assert "is finished" not in err
    assert ("state after step 12" if what == "state" else "the test loss at step 12 is") in err


def test_what_is_no_number_is_null_in_json_and_said_in_a_table(copy, capsys, monkeypatch):
    from cnn_jax import runs

    figures = {"split": "test", "step": 12, "num_examples": 9, "loss": float("inf"), "nll": float("nan"), "ece": None}
    by_class = {name: {"a": None, "b": float("nan")} for name in ("per_class", "nll_per_class", "brier_per_class")}
    figures |= {"top1": 0.5, "top5": 1.0, "brier": 0.25, **by_class}
    monkeypatch.setattr(runs, "evaluate", lambda *args, **options: figures)
    capsys.readouterr()
    assert main(["eval", str(copy), "--json"]) == 0
    strict = {"parse_constant": lambda word: pytest.fail(f"{word} is no JSON")}
    printed = json.loads(capsys.readouterr().out.splitlines()[-1], **strict)
    assert printed == figures | {"loss": None, "nll": None, **{key: {"a": None, "b": None} for key in by_class}}
    assert main(["eval", str(copy)]) == 0
    assert capsys.readouterr().out.count("not finite") == 6


@pytest.mark.parametrize(
    ("place", "begun"),
    [
        ("trainer.open_session", False),
        ("trainer.content_of", False),
        ("loop.initial_state", True),
        ("session.Session.compile_train_step", True),
    ],
)
def test_a_signal_before_the_loop_ends_the_run_at_once(experiment, tmp_path, capsys, monkeypatch, place, begun):
    """While data are read, the state is made, and the step is compiled."""
    room, *names, last = place.split(".")
    owner = functools.reduce(getattr, names, importlib.import_module(f"cnn_jax.runs.{room}"))

    def interrupted(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("it went on")

    monkeypatch.setattr(owner, last, interrupted)
    folder = tmp_path / "run"
    assert run(experiment, folder) == 128 + signal.SIGTERM
    assert "stopped by SIGTERM; nothing was lost. The same command continues." in capsys.readouterr().err
    assert folder.exists() == begun and not list(folder.glob("checkpoints/*"))


def test_a_signal_while_a_checkpoint_is_read_loses_nothing(copy, experiment, capsys, monkeypatch):
    real = Checkpoints.restore

    def restore(self, *given, **how):
        os.kill(os.getpid(), signal.SIGUSR1)
        return real(self, *given, **how)

    flags = ("--train.checkpoint-every", "6", "--train.eval-every", "6")
    before = files(copy)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "restore", restore)
        assert run(experiment, copy, *flags) == 128 + signal.SIGUSR1
    assert "stopped by SIGUSR1" in capsys.readouterr().err
    assert {k: v for k, v in files(copy).items() if k != ".lock"} == {k: v for k, v in before.items() if k != ".lock"}


@pytest.mark.slow
@pytest.mark.parametrize(("when", "said"), [(0, "nothing was lost"), (12, "saved at step 12")])
def test_a_signal_before_the_first_step_or_the_test_evaluation_ends_the_run_politely(
    finished, experiment, tmp_path, capsys, monkeypatch, when, said
):
    """While the step is compiled, and in the last step."""
    from cnn_jax.runs import session as sessions

    real = sessions.Session.compile_train_step

    def compile_train_step(self, first=0):
        step = real(self, first)

        def interrupted(carry, batch):
            carry, made = step(carry, batch)
            if int(made) == when:
                os.kill(os.getpid(), signal.SIGTERM)
            return carry, made

        if not when:
            os.kill(os.getpid(), signal.SIGTERM)
        return interrupted

    monkeypatch.setattr(sessions.Session, "compile_train_step", compile_train_step)
    folder = tmp_path / "run"
    assert run(experiment, folder) == 128 + signal.SIGTERM
    assert f"stopped by SIGTERM; {said}" in capsys.readouterr().err
    assert [entry["ended"] for entry in read_run(folder).record] == ["stopped"]
    assert not (folder / "metrics.jsonl").exists() if not when else not lines(folder, "test")
    monkeypatch.undo()
    assert run(experiment, folder) == 0
    assert lines(folder, "test") == lines(finished, "test")


def test_nothing_is_compiled_between_the_first_step_and_the_last_checkpoint(tmp_path, monkeypatch, caplog):
    """Not at the first log line, evaluation or checkpoint, each of which is later than the first step."""
    compiled, real = [], LogWindow.add

    def add(*arguments):
        compiled.append([record.getMessage() for record in caplog.records if "XLA compilation" in record.getMessage()])
        return real(*arguments)

    monkeypatch.setattr(LogWindow, "add", add)
    config = Config(
        model=ModelConfig(Small, conv="xla"),
        data=DataConfig("digits", batch_size=24),
        train=TrainConfig(steps=7, log_every=2, eval_every=3, checkpoint_every=4, test="never"),
    )
    with jax.log_compiles():
        train(config, tmp_path / "run")
    assert any("eval_step" in message for message in compiled[0])
    assert compiled[-1] == compiled[0] and len(compiled) == 7
