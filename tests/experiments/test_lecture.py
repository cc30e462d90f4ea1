"""The pages of the lecture run, print what stands beside it, draw the pictures that are shown, and leave nothing."""

import re
import runpy
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "lecture"
PAGES = sorted(FOLDER.glob("[0-9]*.py"))
README = (FOLDER / "README.md").read_text(encoding="utf-8")

# What takes a minute or more.
LONG = {"3_real_networks", "9_drawn", "8_transfer"}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def said(text):
    """What a page says that its prints give, line by line: the comment behind each, or alone on the next line."""
    return re.findall(r"^ *print\(.*\)(?:  |\n)# (.*)$", text, re.MULTILINE)


def matches(line, pattern):
    """Whether a printed line is as said, where … stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("…"))), line) is not None


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=[pytest.mark.slow] * (p.stem in LONG), id=p.stem) for p in PAGES]
)
def test_a_page_runs_and_says_what_stands_beside_it(page, monkeypatch, tmp_path, capsys):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in FOLDER.iterdir()}
    plt.close("all")
    runpy.run_path(str(page))
    drawn = plt.get_figlabels()
    plt.close("all")
    printed, expected = capsys.readouterr().out.splitlines(), said(page.read_text(encoding="utf-8"))
    assert len(printed) == len(expected)
    for line, pattern in zip(printed, expected, strict=True):
        assert matches(line, pattern)
    assert len(drawn) == 1
    assert f"({drawn[0]}.png)" in README and (FOLDER / f"{drawn[0]}.png").exists()
    assert {path: path.stat().st_mtime_ns for path in FOLDER.iterdir()} == before
    assert not [*tmp_path.iterdir()]


def test_what_a_page_says_is_compared():
    assert said('print(a)  # (1, 2)\nprint(b(c))\n# {"x": 3}\nx = 1\n') == ["(1, 2)", '{"x": 3}']
    assert matches("0.5301 1.0", "0.5… 1.0") and not matches("0.6301 1.0", "0.5… 1.0") and not matches("1.01", "1.0")


@pages
def test_a_page_is_a_walk_of_ten_minutes_in_cells(page):
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# %% [markdown]\n# # ")
    assert text.count("\n") <= 160
    assert f"]({page.name})" in README
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (FOLDER / target).resolve().exists(), target
