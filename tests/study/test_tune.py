"""A search finds the best values, the same each time, on the validation split; it is stopped, joined, continued."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import cnn_jax
from cnn_jax.cli import main
from cnn_jax.config import ConfigError, identity, load_experiment
from cnn_jax.runs.console.signals import StopSignals
from cnn_jax.runs.folder.lock import FolderLock
from cnn_jax.study import tune as tuning

FILE = """
from flax import linen as nn

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, Search, TrainConfig, log_range


class Net(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x, *, train):
        return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


def config():
    return Config(
        model=ModelConfig(Net),
        data=DataConfig("digits", batch_size=32),
        optim=OptimConfig("sgd", weight_decay=1e-3),
        train=TrainConfig(steps=4),
    )


def search():
    return Search(config(), {"optim.learning_rate": log_range(0.001, 10)}, trials=4)
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "rates.py").write_text(FILE)
    return tmp_path / "rates.py"


@pytest.fixture
def bowl(monkeypatch):
    """Nothing is trained or drawn: the loss is least at a rate of 0.3, and above 3 all diverges. It lists trials."""
    seen = []

    def measure(plan, trial):
        seen.append(f"{trial.folder.parent.name}/{trial.folder.name}")
        rate = trial.values["optim.learning_rate"]
        return math.inf if rate > 3 else math.log10(rate / 0.3) ** 2

    monkeypatch.setattr(tuning, "_measure", measure)
    monkeypatch.setattr(tuning, "draw_round", lambda *_: None)
    return seen


def values(tuned):
    return [(dict(trial.values), trial.measured) for round in tuned.rounds for trial in round.trials]


def change(file, old, new):
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_it_trains_selects_on_validation_and_writes_an_experiment(file, capsys):
    change(file, "trials=4", "trials=2, rounds=1")
    place = file.parent / "found"
    assert main(["tune", str(file), "--workdir", str(place), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    losses = []
    for trial in figures["rounds"][0]:
        lines = cnn_jax.open_run(trial["run"]).metrics()
        assert {line["split"] for line in lines} == {"train", "validation"}
        assert (lines[-1]["step"], lines[-1]["split"], lines[-1]["loss"]) == (4, "validation", trial["loss"])
        losses.append(trial["loss"])
    best = figures["best"]
    assert best["loss"] == min(losses) and losses[0] != losses[1]

    config, there = load_experiment(place / "best.py"), cnn_jax.open_run(best["run"])
    assert config.optim.learning_rate == best["values"]["optim.learning_rate"] and config.train.test == "end"
    assert identity(config, code=config.code.digest) == identity(there.config, code=load_experiment(file).code.digest)
    assert f"{best['loss']:.4g}" in (place / "search.md").read_text() and (place / "round-1.png").stat().st_size > 5000


def test_the_experiment_of_catalogue_parts_is_a_short_file_of_its_own(file, bowl):
    change(file, "ModelConfig(Net)", 'ModelConfig("lenet5", options={"pool": "max"})')
    change(file, "DataConfig(", 'DataConfig(augment=("resize(28)",), eval_augment=("resize(28)",), name=')
    found = cnn_jax.tune(file, file.parent / "found")
    source = found.file.read_text()
    assert "Net" not in source and "search" not in source.partition('"""\n')[2]
    base, made = load_experiment(file), load_experiment(found.file)
    assert made.model == base.model and made.data == base.data and made.train == base.train and made.name == "rates"
    assert made.optim.learning_rate == found.best.values["optim.learning_rate"] and made.optim.weight_decay == 1e-3


def test_modules_beside_the_experiment_go_with_it(file, bowl):
    (file.parent / "my_losses.py").write_text("def mine(logits, targets):\n    return logits.sum(1)\n")
    change(file, "from flax", "from my_losses import mine\nfrom flax")
    change(file, "TrainConfig(", "TrainConfig(loss=mine, ")
    found = cnn_jax.tune(file, file.parent / "found")
    assert (found.folder / "my_losses.py").exists()
    (file.parent / "my_losses.py").unlink()
    assert load_experiment(found.file).train.loss == "my_losses:mine"


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_equal_searches_are_equal_and_each_round_is_nearer(file, bowl, sampler):
    change(file, "trials=4", f"trials=6, rounds=3, sampler={sampler!r}")
    first, again = (cnn_jax.tune(file, file.parent / name) for name in ("one", "two"))
    assert values(first) == values(again) and first.file.read_bytes() == again.file.read_bytes()
    assert len({trial["optim.learning_rate"] for trial, _ in values(first)}) == 18
    assert abs(math.log10(first.best.values["optim.learning_rate"] / 0.3)) < 0.1
    for round in first.rounds:
        span = round.space["optim.learning_rate"]
        assert all(span.low <= trial.values["optim.learning_rate"] <= span.high for trial in round.trials)
    assert math.inf in [value for _, value in values(first)], "none diverged"
    change(file, "Config(\n", "Config(\n        seed=1,\n")
    assert values(cnn_jax.tune(file, file.parent / "three")) != values(first)


def test_an_accuracy_is_better_where_it_is_higher(file, bowl, monkeypatch):
    change(file, "trials=4", "trials=4, metric='top1'")
    real = tuning._measure
    monkeypatch.setattr(tuning, "_measure", lambda plan, trial: -real(plan, trial))
    found = cnn_jax.tune(file, file.parent / "found")
    assert found.best.measured == max(value for _, value in values(found))


def test_a_search_that_stopped_goes_on_with_the_trial_that_was_running(file, bowl, monkeypatch):
    undisturbed = cnn_jax.tune(file, file.parent / "one")
    expected = list(bowl)
    bowl.clear()
    real = tuning._measure

    def stop(plan, trial):
        if len(bowl) == 2:
            raise OSError("no space")
        return real(plan, trial)

    monkeypatch.setattr(tuning, "_measure", stop)
    with pytest.raises(OSError, match="no space"):
        cnn_jax.tune(file, file.parent / "two")
    with open(file.parent / "two/journal.log", "a") as journal:
        journal.write('{"op_code":4,"work')  # what a full disk leaves
    monkeypatch.setattr(tuning, "_measure", real)
    found = cnn_jax.tune(file, file.parent / "two")
    assert values(found) == values(undisturbed) and bowl == expected
    assert (found.folder / "search.md").read_bytes() == (undisturbed.folder / "search.md").read_bytes()
    bowl.clear()
    assert values(cnn_jax.tune(file, file.parent / "two")) == values(found) and not bowl


def test_two_at_work_on_one_folder_share_the_trials(file, bowl, monkeypatch):
    real = tuning._measure
    monkeypatch.setattr(tuning, "_POLL", 0.01)

    def measure(plan, trial):
        trial.folder.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(trial.folder)  # or a RunError
        try:
            time.sleep(0.02)
            return real(plan, trial)
        finally:
            lock.release()

    monkeypatch.setattr(tuning, "_measure", measure)
    plan = tuning.load_search(file)
    found = []

    def work():
        found.append(tuning._search(plan, file.parent / "found", lambda trial: None, StopSignals()))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(found[0]) == values(found[1]) and len(values(found[0])) == 8
    assert set(bowl) == {f"round-{n}/trial-{i}" for n in (1, 2) for i in range(4)}


def test_all_diverging_is_said(file, bowl):
    change(file, "log_range(0.001, 10)", "log_range(5, 10)")
    with pytest.raises(ConfigError, match=r"all trials in .* diverged"):
        cnn_jax.tune(file, file.parent / "found")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("weight_decay=1e-3", "weight_decay=1e-2", "optim.weight_decay: 0.001 there, 0.01 now"),
        ("log_range(0.001, 10)", "log_range(0.01, 10)", r"space of optim.learning_rate: \[0.001, 10.0\] there"),
        ("trials=4", "trials=5", "trials: 4 there, 5 now"),
        ("len(x), -1)", "len(x), 64)", "own code: "),
    ],
)
def test_another_search_in_the_same_folder_is_refused(file, bowl, old, new, said):
    cnn_jax.tune(file, file.parent / "found")
    change(file, old, new)
    with pytest.raises(ConfigError, match=rf"holds another search; give another --workdir\.\n.*{said}"):
        cnn_jax.tune(file, file.parent / "found")


def test_a_missing_optuna_is_a_sentence(file, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["tune", str(file), "--workdir", str(file.parent / "found")]) == 1
    assert "install it with `pip install 'cnn-jax[tune]'`" in capsys.readouterr().err
    assert not (file.parent / "found").exists()


@pytest.mark.slow
def test_a_kill_changes_no_bit(file):
    change(file, "TrainConfig(steps=4)", "TrainConfig(steps=200, log_every=2, checkpoint_every=20)")
    change(file, "trials=4", "trials=2")

    def start(name):
        command = [sys.executable, "-m", "cnn_jax", "tune", str(file), "--workdir", str(file.parent / name), "--json"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    undisturbed, killed = file.parent / "one", file.parent / "two"
    out, err = start("one").communicate(timeout=600)
    figures = json.loads(out.splitlines()[-1])
    process, metrics = start("two"), killed / "round-2/trial-0/metrics.jsonl"
    while not (metrics.exists() and len(metrics.read_bytes().splitlines()) > 20):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (killed / "best.py").exists()
    out, err = start("two").communicate(timeout=600)
    assert json.loads(out.splitlines()[-1]) == json.loads(json.dumps(figures).replace(str(undisturbed), str(killed)))
    assert len(err.splitlines()) == 2, "only what was missing was trained"
    starts = json.loads((killed / "round-2/trial-0/config.json").read_text())["record"]
    assert [start["first_step"] > 0 for start in starts] == [False, True], "the trial was begun anew"
    for name in ("best.py", "search.md"):
        assert (killed / name).read_bytes() == (undisturbed / name).read_bytes()
