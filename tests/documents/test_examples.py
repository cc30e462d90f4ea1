"""What people copy runs: the documents' Python is that of the files."""

import ast
import re

import pytest
from documents import ROOT, blocks

from cnn_jax.cli import main
from cnn_jax.config import Config


@pytest.mark.parametrize(
    ("document", "file"),
    [("README.md", "experiments/digits_lenet.py"), ("experiments/README.md", "experiments/your_own.py")],
)
def test_an_experiment_that_is_shown_is_in_its_file(document, file):
    source = ast.unparse(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    shown = [block for block in blocks(ROOT / document, "python") if "def config" in block and "nn.Module" not in block]
    assert len(shown) == 1
    for part in ast.parse(shown[0]).body:
        assert ast.unparse(part) in source


@pytest.mark.slow
def test_the_python_of_looking_into_a_network_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    experiment = str(ROOT / "experiments" / "digits_lenet.py")
    assert main(["train", experiment, "--train.steps", "2", "--workdir", "runs/digits_lenet"]) == 0
    (python,) = (block for block in blocks(ROOT / "experiments" / "README.md", "python") if "draw_image" in block)
    names = {}
    exec(python, names)
    assert names["drawn"].shape == (10, 28, 28, 1)


def test_the_own_idea_and_the_python_of_the_list_of_experiments_run(own_idea, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    source, shortened = re.subn(r"epochs=\d+", "steps=2", own_idea.read_text())
    assert shortened == 1
    (tmp_path / "mine.py").write_text(source)
    (python,) = (block for block in blocks(ROOT / "experiments" / "README.md", "python") if "training_events" in block)
    variables: dict[str, object] = {}
    exec(python, variables)
    assert isinstance(variables["config"], Config)
    assert "dict_keys(['params', 'batch_stats'])" in capsys.readouterr().out
