"""The README's claims and tables: their numbers are those of the tests, and nothing is missing from a list."""

import ast
import re
import sys
import tomllib

import pytest
from documents import ROOT

from cnn_jax.models import MODELS

sys.path.insert(0, str(ROOT / "tests" / "models"))
from test_counts import TWINS

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = (ROOT / "experiments" / "README.md").read_text(encoding="utf-8")


def test_it_is_what_the_package_shows():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["readme"] == "README.md"


def test_it_is_read_in_one_sitting():
    assert len(README.splitlines()) <= 180


def test_the_first_screen_says_where_all_was_run():
    assert "in part on one GPU" in "\n".join(README.splitlines()[:25])


def test_the_numbers_of_networks_are_those_of_the_tests():
    numbers = re.search(r"Of the (\d+) networks, (\d+) have their published parameter count", README)
    twins_and_timm = {*TWINS, "resnet50_v2"}
    assert [int(n) for n in numbers.groups()] == [len(MODELS), len(MODELS) - len(twins_and_timm)]


def test_the_table_of_rooms_has_every_room():
    table = README.partition("| room |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)(?:/|\.py)`", table))
    package = ROOT / "cnn_jax"
    rooms = {p.stem for p in package.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert rooms - {"__init__", "__main__"} <= named


@pytest.mark.parametrize("folder", ["experiments", "experiments/benchmarks"])
def test_the_list_of_a_folder_names_every_file(folder):
    named = set(re.findall(r"\]\((\w+\.py)\)", (ROOT / folder / "README.md").read_text(encoding="utf-8")))
    assert named == {path.name for path in (ROOT / folder).glob("*.py")}


@pytest.mark.parametrize("text", [README, EXPERIMENTS], ids=["README", "experiments"])
def test_the_figures_of_a_table_stand_in_the_docstring_of_the_file(text):
    rows = [line for line in text.splitlines() if re.match(r"\|.*\]\([\w/]+\.py\)", line)]
    assert len(rows) >= 5
    for row in rows:
        path = ROOT / "experiments" / re.search(r"\]\((?:experiments/)?([\w/]+\.py)\)", row)[1]
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        for figure in re.findall(r"\d+\.\d+", row):
            assert figure in docstring, (path.name, figure)
