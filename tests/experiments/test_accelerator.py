"""The benchmark for accelerators at reduced size, on the CPU: all of it works, and what is done is not done again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "benchmarks" / "accelerator.py"
NETWORKS = ("resnet50", "resnet20_cifar", "lenet5", "vgg16", "googlenet", "alexnet")


def run(folder, *parts):
    words = ["--reduced", "--rounds=1", "--seconds=0", "--processes=2", "--at-once=1", f"--out={folder}"]
    return subprocess.run([sys.executable, SCRIPT, *words, *parts], capture_output=True, text=True, timeout=3000)


def test_a_part_is_measured_once_and_its_figures_are_kept(tmp_path):
    first = run(tmp_path, "pooling")
    assert first.returncode == 0, first.stderr
    assert "pooling …" in first.stderr and "| pooling | 3×3/2, ours |" in first.stdout
    kept = json.loads((tmp_path / "results.json").read_text())["pooling"]["rows"]
    assert len(kept) == 4 and all(row["median"] > 0 and row["unit"] == "ms" for row in kept)
    again = run(tmp_path, "pooling")
    assert again.stdout == first.stdout and "pooling …" not in again.stderr


def test_an_unknown_part_is_refused_and_figures_of_other_settings_are_not_taken(tmp_path):
    refused = run(tmp_path, "resnet51-float32")
    assert refused.returncode == 2 and "no part is called resnet51-float32" in refused.stderr
    (tmp_path / "pooling.json").write_text(json.dumps({"settings": ["of another size"], "rows": []}))
    assert "pooling …" in run(tmp_path, "pooling").stderr


def test_what_is_not_installed_is_said_and_waits(tmp_path, monkeypatch):
    (tmp_path / "tyro.py").write_text("raise ImportError('no tyro here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ended = run(tmp_path, "calls")
    assert ended.returncode == 0 and "left out: no tyro here; `pip install .`" in ended.stderr
    assert not (tmp_path / "calls.json").exists()


@pytest.mark.slow
def test_all_parts_work(tmp_path):
    ended = run(tmp_path)
    assert ended.returncode == 0, ended.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    others = {"repeats", "repeats-default", "calls", "pooling", "checkpoint"}
    parts = {*others, *(f"{n}-{d}" for n in NETWORKS for d in ("bfloat16", "float32"))}
    assert set(results) == parts and (tmp_path / "results.png").exists()
    rows = {row["what"]: row for row in results["repeats"]["rows"]}
    assert rows["deterministic: equal to the first"]["median"] == 2  # as every process of a CPU does
    assert [row["note"] for row in results["calls"]["rows"]] == 3 * ["the same bits"]
    for part in parts - others:
        whats = [row["what"] for row in results[part]["rows"]]
        assert whats[0] == "ours" and "stock Flax" in whats and results[part]["rows"][0]["ratio"] == 1
        assert ("ours, 50 steps a call" in whats) == part.startswith(("lenet5", "resnet20"))
