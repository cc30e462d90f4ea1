"""What people copy runs: the documents' sessions give what stands below them, and their Python is that of the files."""

import ast
import doctest
import re

import pytest
from documents import DOCUMENTS, ROOT, blocks, name

from cnn_jax.config import Config


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if blocks(p, "pycon")], ids=name)
def test_sessions_give_what_stands_below_them(path):
    test = doctest.DocTestParser().get_doctest("\n".join(blocks(path, "pycon")), {}, name(path), name(path), 0)
    failures: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=failures.append)
    assert not failures, "".join(failures)
    assert runner.tries == len(test.examples)


def test_the_lecture_has_its_examples():
    assert sum(block.count(">>>") for block in blocks(ROOT / "experiments" / "lecture" / "README.md", "pycon")) >= 60


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


def test_the_own_idea_and_the_python_of_the_list_of_experiments_run(own_idea, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    source, shortened = re.subn(r"epochs=\d+", "steps=2", own_idea.read_text())
    assert shortened == 1
    (tmp_path / "mine.py").write_text(source)
    (python,) = (block for block in blocks(ROOT / "experiments" / "README.md", "python") if "open_run" in block)
    variables: dict[str, object] = {}
    exec(python, variables)
    assert isinstance(variables["config"], Config)
    assert "dict_keys(['params', 'batch_stats'])" in capsys.readouterr().out
