"""Every ablation of `experiments/ablations/` is a study, holds equal what it says, and holds its recorded table."""

import ast
from pathlib import Path

import pytest

from cnn_jax.inspect import summary
from cnn_jax.runs.parts import network
from cnn_jax.study.ablation import load_study
from cnn_jax.study.statistics import seeds_needed

FOLDER = Path(__file__).parents[2] / "experiments" / "ablations"
FILES = sorted(path for path in FOLDER.glob("*.py") if "\ndef ablation()" in path.read_text(encoding="utf-8"))

# By file and arm, the base first: what `cnn-jax summary` counts, and how far an arm that holds it equal may be off.
PARAMETERS = {
    "two_3x3": (7_870, 0.005, {"two 3×3, as many weights"}),
    "inception": (9_446, 0.01, {"3×3", "5×5", "1×1, then 3×3"}),
    "pooling": (61_706, 0, {"maximum, tanh", "average, ReLU", "maximum, ReLU"}),
}
MACS = {"bottleneck": (144_704, 0.02, {"more channels", "more depth"})}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_ablation_can_decide_and_holds_its_table(path):
    study = load_study(path)
    arms = set(study.arms) - {"base"}
    assert len(study.ablation.seeds) >= max(9, seeds_needed(len(arms)))
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert f"cnn-jax ablate experiments/ablations/{path.name}" in text
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.strip().startswith("|")]
    assert rows[2:] == study.arms, "the table of the docstring has a row for each arm"


@pytest.mark.parametrize("name", [*PARAMETERS, *MACS])
def test_arms_that_hold_the_cost_equal_do(name):
    study = load_study(FOLDER / f"{name}.py")
    shape = (28, 28, 1) if name == "pooling" else (8, 8, 1)
    what = "params" if name in PARAMETERS else "macs"
    base, tolerance, equal = (PARAMETERS | MACS)[name]
    costs = {arm: getattr(summary(network(study.configs[arm, 0], 10), shape), what) for arm in study.arms}
    assert costs["base"] == base
    for arm in equal:
        assert costs[arm] == pytest.approx(base, rel=tolerance)
