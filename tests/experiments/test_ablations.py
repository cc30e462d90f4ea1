"""Every ablation of `experiments/ablations/` can decide, holds equal what it says, and holds its recorded table."""

import ast
import functools
from pathlib import Path

import pytest

from cnn_jax.inspect import summary
from cnn_jax.runs.parts import network
from cnn_jax.study.ablation import load_study
from cnn_jax.study.statistics import seeds_needed

FOLDER = Path(__file__).parents[2] / "experiments" / "ablations"
FILES = sorted(path for path in FOLDER.glob("*.py") if "\ndef ablation()" in path.read_text(encoding="utf-8"))

# By file: what is held equal, the base's, how far an arm may be off, and the arms that hold it.
EQUAL = {
    "bottleneck": ("macs", 144_704, 0.02, {"more channels", "more depth"}),
    "inception": ("params", 9_446, 0.007, {"3×3", "1×1, then 3×3"}),
    "two_3x3": ("params", 7_870, 0.003, {"two 3×3, as many weights"}),
}

study = functools.cache(load_study)


def docstring(path):
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_ablation_has_the_seeds_to_decide_and_holds_its_table(path):
    found, text = study(path), docstring(path)
    assert len(found.ablation.seeds) >= max(9, seeds_needed(len(found.ablation.arms)))
    assert f"cnn-jax ablate experiments/ablations/{path.name}" in text
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
    assert rows[2:] == found.arms
    assert path.read_text(encoding="utf-8").count("\n") <= 100


@pytest.mark.parametrize("name", EQUAL)
def test_arms_that_hold_a_cost_equal_do(name):
    found = study(FOLDER / f"{name}.py")
    what, of_base, tolerance, arms = EQUAL[name]
    costs = {arm: getattr(summary(network(found.configs[arm, 0], 10), (8, 8, 1)), what) for arm in found.arms}
    assert costs["base"] == of_base
    for arm in arms:
        assert costs[arm] == pytest.approx(of_base, rel=tolerance)
        assert f"{costs[arm]:,}" in docstring(FOLDER / f"{name}.py")
