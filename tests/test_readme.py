"""What people copy works.

The README's examples run, its links lead somewhere, and every command written in it or in an experiment's docstring is
one that the command line takes.
"""

import ast
import doctest
import functools
import re
import shlex
import sys
from pathlib import Path

import pytest

import cnn_jax.cli
import cnn_jax.data
import cnn_jax.runs
from cnn_jax.models import MODELS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "models"))
from test_counts import TWINS  # noqa: E402

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.py"))


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """What follows `cnn-jax` on the README's command lines and in the docstrings of the experiments."""
    texts = blocks("") + [ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in EXPERIMENTS]
    lines = (re.match(r"\s*(?:uv run )?cnn-jax (.*)", line) for text in texts for line in text.splitlines())
    return sorted({match.group(1) for match in lines if match})


def test_the_examples_run():
    source = "\n".join(blocks("pycon"))
    test = doctest.DocTestParser().get_doctest(source, {}, "README.md", "README.md", 0)
    failures: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=failures.append)
    assert not failures, "".join(failures)
    assert runner.tries >= 40


@pytest.mark.parametrize("command", commands())
def test_the_commands_are_understood(command, monkeypatch, capsys):
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
    status = cnn_jax.cli.main(shlex.split(command, comments=True))
    assert status == 0, capsys.readouterr().err
    assert calls or "--help" in command


def test_a_mistaken_command_would_be_noticed(capsys):
    assert cnn_jax.cli.main(shlex.split("train experiments/digits_lenet.py --optim.lerning_rate 0.1")) == 2
    assert "learning" in capsys.readouterr().err


def test_the_tables_name_commands_that_exist():
    assert set(re.findall(r"`cnn-jax (\w+)", TEXT)) <= set(cnn_jax.cli.COMMANDS)


def test_the_table_of_rooms_has_every_room():
    table = TEXT.partition("| room |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)(?:/|\.py)`", table))
    package = ROOT / "cnn_jax"
    rooms = {p.stem for p in package.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert rooms - {"__init__", "__main__"} <= named


def test_the_first_screen_says_where_nothing_was_run():
    assert "Not yet run on an accelerator" in "\n".join(TEXT.splitlines()[:25])


def test_the_numbers_of_networks_are_those_of_the_tests():
    numbers = re.search(r"Of the (\d+) networks, (\d+) have their published parameter count", TEXT)
    twins_and_timm = {*TWINS, "resnet50_v2"}
    assert [int(n) for n in numbers.groups()] == [len(MODELS), len(MODELS) - len(twins_and_timm)]


def test_links_lead_to_files():
    targets = {target for target in re.findall(r"\]\(([^)#:]+)\)", TEXT)}
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]
