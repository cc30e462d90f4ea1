"""Every command written in a document, or in the docstring of an experiment, is one that the command line takes."""

import ast
import functools
import re
import shlex

import pytest
from documents import DOCUMENTS, ROOT, blocks

import cnn_jax.cli
import cnn_jax.config
import cnn_jax.data
import cnn_jax.runs
import cnn_jax.weights.fetch

EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.py"))


def commands():
    """What follows `cnn-jax` on the lines of fenced blocks and docstrings, up to a pipe or the end of a loop."""
    texts = [block for path in DOCUMENTS for language in ("", "bash") for block in blocks(path, language)]
    texts += [ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in EXPERIMENTS]
    starts = r"^\s*(?:for .*; do )?(?:\w+=\S+ )?(?:uv run |srun )?cnn-jax (.*?)(?:; done| \| .*)?$"
    found = re.findall(starts, "\n".join(texts), flags=re.MULTILINE)
    return sorted({re.sub(r"\$\w+", "1", command).strip() for command in found})


@pytest.mark.parametrize("command", commands())
def test_the_commands_are_understood(command, monkeypatch, capsys, own_idea):
    calls = []

    def recorded(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            calls.append(function)
            return 0

        return call

    monkeypatch.chdir(ROOT)
    stubs = {name: recorded(function) for name, function in cnn_jax.cli.COMMANDS.items()}
    monkeypatch.setattr(cnn_jax.cli, "COMMANDS", stubs)
    monkeypatch.setattr(cnn_jax.cli, "train", stubs["train"])
    monkeypatch.setattr(cnn_jax.data, "prepare", lambda *args, **kwargs: ROOT)
    monkeypatch.setattr(cnn_jax.runs, "export_weights", lambda *args, **kwargs: ROOT)
    figures = {"file": "f", "url": "u", "licence": "l", "sha256": "s"}
    monkeypatch.setattr(cnn_jax.weights.fetch, "fetch_weights", lambda *args, **kwargs: figures)
    words = [str(own_idea) if word == "mine.py" else word for word in shlex.split(command, comments=True)]
    status = cnn_jax.cli.main(words)
    assert status == 0, capsys.readouterr().err
    assert calls or "--help" in command


def test_a_mistaken_command_would_be_noticed(capsys):
    assert cnn_jax.cli.main(shlex.split("train experiments/digits_lenet.py --optim.lerning_rate 0.1")) == 2
    assert "learning" in capsys.readouterr().err


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_texts_name_commands_that_exist(path):
    assert set(re.findall(r"`cnn-jax (\w+)", path.read_text(encoding="utf-8"))) <= set(cnn_jax.cli.COMMANDS)
