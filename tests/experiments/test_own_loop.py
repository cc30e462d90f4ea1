"""The training loop on one page, from the public parts: it learns, and goes on to the same bits after a kill."""

import runpy
import shutil
from pathlib import Path

import pytest

from cnn_jax import Checkpoints

FILE = Path(__file__).parents[2] / "experiments" / "own_loop.py"


@pytest.fixture
def script(tmp_path):
    text = FILE.read_text()
    for before, after in [
        ("STEPS, SAVE_EVERY = 0, 64, 400, 100", "STEPS, SAVE_EVERY = 0, 64, 60, 20"),
        ('Path("runs/own_loop")', f"Path({str(tmp_path / 'run')!r})"),
    ]:
        assert before in text
        text = text.replace(before, after)
    (tmp_path / "own_loop.py").write_text(text)
    return tmp_path / "own_loop.py"


@pytest.mark.slow
def test_it_learns_and_goes_on_to_the_same_bits(script, tmp_path, capsys):
    def run(script):
        runpy.run_path(str(script), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    whole = run(script)
    folder = tmp_path / "run" / "checkpoints"
    sums = Checkpoints(folder, read_only=True).manifest(60).sums
    assert float(whole[-1].removeprefix("test top-1 ").removesuffix("%")) > 80  # of ten classes
    shutil.rmtree(folder / "60")
    again = run(script)
    assert [line.split()[1] for line in again[:-1]] == ["60"] and again[-1] == whole[-1]
    assert Checkpoints(folder, read_only=True).manifest(60).sums == sums
