"""Every flag of every command with values that few expect: it works, or status 2 and a sentence with the flag's name.

The flags are read off the parsers, so a new one is covered by itself.  A training stops after all its checks, with its
step traced; tables, pictures and timings are not made.
"""

import contextlib
import dataclasses
import io
import re
import warnings

import jax
import numpy as np
import pytest
import tyro
from PIL import Image

import cnn_jax.data.gallery
import cnn_jax.parallel
import cnn_jax.runs.bench
import cnn_jax.runs.loop
import cnn_jax.runs.trainer
import cnn_jax.runs.use.inspection
import cnn_jax.study.tune
import cnn_jax.weights.fetch
from cnn_jax.cli import COMMANDS, main
from cnn_jax.models import abstract_variables, create_model
from cnn_jax.weights import save_weights

VALUES = {
    "nothing": [],
    "a word": ["word"],
    "below zero": ["-1"],
    "zero": ["0"],
    "nan": ["nan"],
    "1e30": ["1e30"],
    "10 to the 30": [str(10**30)],
}

# The words in front of a command's flags; `{}` are the folder, the weights and the image of the fixture.
BASE = {
    "train": "train {experiment} --workdir {new}",
    "launch": "launch train {experiment}",
    "submit": "submit train {experiment}",
    "eval": "eval {run}",
    "predict": "predict {run} {image}",
    "verify": "verify {run}",
    "probe": "probe {weights} {experiment}",
    "inspect": "inspect {run} {image} --out {new}",
    "doctor": "doctor",
    "models": "models",
    "parts": "parts",
    "ablate": "ablate {study} --dry-run",
    "tune": "tune {search}",
    "report": "report {run} --format markdown",
    "summary": "summary lenet5",
    "bench": "bench lenet5",
    "data list": "data list",
    "data prepare": "data prepare digits",
    "data show": "data show digits --out {new}.png",
    "weights fetch": "weights fetch resnet18",
    "weights import": "weights import lenet5 {weights} --data digits --out {new} --eval-augment resize(28)",
    "weights export": "weights export {run} {new}.safetensors",
    "export": "export {run} {new}.zip",
    "diff": "diff {run} {run}",
    "runs": "runs {run}",
}


def parser(command):
    """argparse's, of a command; tyro gives it up in some later version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return tyro.extras.get_parser(COMMANDS[command])


def flags_of(parser, words=()):
    """Each flag below a parser, as (command, flag, whether it takes values)."""
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for name, below in action.choices.items():
                yield from flags_of(below, (*words, name))
        elif action.option_strings and "--help" not in action.option_strings:
            yield " ".join(words), action.option_strings[0], action.nargs != 0


def rows():
    """Every flag with every value; of these the default suite takes one for every second flag, each time another."""
    found = []
    flags = [row for name in COMMANDS for row in flags_of(parser(name), (name,))]
    for i, (command, flag, takes_values) in enumerate(flags):
        names = list(VALUES) if takes_values else ["nothing"]
        for j, name in enumerate(names):
            quick = i % 2 == 0 and (len(names) == 1 or (j - i // 2) % 7 == 0)
            marks = () if quick else pytest.mark.slow
            found.append(pytest.param(command, flag, VALUES[name], id=f"{command}-{flag}-{name}", marks=marks))
    return found


@pytest.fixture(scope="module")
def made(lenet, experiment, tmp_path_factory):
    """A run of one step, weights in a file, an image, a study and a search."""
    folder = tmp_path_factory.mktemp("made")
    assert main(["train", str(experiment), "--workdir", str(folder / "run"), "--train.steps", "1"]) == 0
    model = create_model("lenet5", 10)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), abstract_variables(model, (28, 28, 1)))
    save_weights(folder / "w.safetensors", model, zeros)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "image.png")
    paths = {"run": folder / "run", "weights": folder / "w.safetensors", "image": folder / "image.png"}
    study = "from cnn_jax import Ablation, Config\n\ndef ablation():\n"
    study += "    return Ablation('Why?', Config(), {'longer': {'train.epochs': 20}}, seeds=(0, 1))\n"
    (folder / "study.py").write_text(study)
    search = "from cnn_jax import Config, Search, log_range\n\ndef search():\n"
    search += "    return Search(Config(), {'optim.learning_rate': log_range(0.1, 1)}, trials=1, rounds=1)\n"
    (folder / "search.py").write_text(search)
    return {"experiment": lenet, "study": folder / "study.py", "search": folder / "search.py", **paths}


@pytest.fixture
def checks_only(monkeypatch, tmp_path):
    """The work that follows the checks is left out."""
    monkeypatch.chdir(tmp_path)  # a word may be a path

    def traced(session, writer, stop, **_):
        jax.eval_shape(session.train_step, session.abstract_checkpoint()["state"], session.abstract_batch())
        values = {"num_examples": 1, "loss": 0.0, "nll": 0.0, "ece": 0.0, "top1": 0.0, "top5": 0.0, "per_class": {}}
        yield cnn_jax.runs.loop.Finished(cnn_jax.runs.loop.Result(writer.run.directory, session.derived.steps, values))

    class Job:
        job_id = "1"

        class paths:
            stdout = "out"

    def alone(*_, **__):
        raise ValueError("no cluster.")

    times = [f.name for f in dataclasses.fields(cnn_jax.runs.bench.StepTimes)]
    monkeypatch.setattr(cnn_jax.runs.trainer, "run_events", traced)
    monkeypatch.setattr(jax.distributed, "initialize", alone)  # JAX asks the machine, and runs already
    monkeypatch.setattr(cnn_jax.parallel, "launch", lambda *_, **__: 0)
    monkeypatch.setattr(cnn_jax.parallel, "submit", lambda *_: Job)
    monkeypatch.setattr(cnn_jax.runs.use.inspection, "_SECTIONS", {})
    monkeypatch.setattr(cnn_jax.study.tune, "_measure", lambda *_: 1.0)
    monkeypatch.setattr(cnn_jax.study.tune, "draw_round", lambda *_: None)
    monkeypatch.setattr(cnn_jax.weights.fetch, "download", lambda *_: None)
    monkeypatch.setattr(cnn_jax.data.gallery, "_draw", lambda *_: None)
    monkeypatch.setattr(cnn_jax.data.gallery, "gallery_specs", lambda _: ["horizontal_flip()"])
    monkeypatch.setattr(
        cnn_jax.runs.bench,
        "_time_steps",
        lambda *_: cnn_jax.runs.bench.StepTimes(**dict.fromkeys(times, 1)),
    )


@pytest.mark.parametrize(("command", "flag", "values"), rows())
def test_it_works_or_is_refused_by_name(made, checks_only, tmp_path, command, flag, values):
    words = BASE[command].format(**made, new=tmp_path / "new").split()
    if command in ("launch", "submit"):  # their own flags come before the training
        words = [words[0], flag, *values, *words[1:]]
    elif flag in words:
        at = words.index(flag)
        words[at : at + 2] = [flag, *values]
    else:
        words += [flag, *values]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(words)
    said = re.sub(r"[\s│]+", " ", err.getvalue() + out.getvalue()).replace("_", "-")
    assert "Traceback" not in said
    if status == 0:
        return
    key = flag.removeprefix("--").rpartition(".")[2].removeprefix("no-")
    assert key in said
    # A number of a step is well formed where there is no such step, as a word is of a file.
    assert status == (1 if key == "step" and "was not saved" in said else 2), said


def test_every_command_has_a_row():
    assert {command for name in COMMANDS for command, _, _ in flags_of(parser(name), (name,))} <= set(BASE)
