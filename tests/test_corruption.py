"""Damage to any file of a run folder or a prepared set is harmless, repaired and said, or refused with the file's name.

Thirty corruptions here; the three hundred, drawn by another seed, take a quarter of an hour on two cores:

    uv run pytest -n 0 -m slow tests/test_corruption.py
"""

import dataclasses
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax.cli import main

KINDS = ("flip", "cut", "zero", "delete", "rename", "another run's", "no permission")
FLAGS = ("--model.conv", "xla", "--data.batch-size", "32", "--train.steps", "6", "--train.log-every", "2")
FLAGS += ("--train.eval-every", "2", "--train.checkpoint-every", "2", "--train.keep-checkpoints", "3")


@dataclasses.dataclass(frozen=True)
class Scene:
    """Folders in which everything is well, and what each command reports of them."""

    folder: Path
    experiment: str
    commands: dict[str, Callable[[Path], list[str]]]
    expected: dict[tuple[str, str], Any]


def call(capsys, argv):
    capsys.readouterr()
    status = main([*argv, "--json"])
    return status, *capsys.readouterr()


@pytest.fixture
def scene(experiment, tmp_path, capsys):
    image = tmp_path / "image.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(image)

    def training(run: Path) -> list[str]:
        return ["train", str(experiment), "--workdir", str(run), *FLAGS]

    commands = {
        "train": training,
        "eval": lambda run: ["eval", str(run)],
        "eval best": lambda run: ["eval", str(run), "--step", "best"],
        "predict": lambda run: ["predict", str(run), str(image)],
    }
    for name, more in (("finished", ()), ("other", ("--seed", "1"))):
        status, _, err = call(capsys, [*training(tmp_path / name), *more])
        assert status == 0, err
    # As one that was killed after its last but one checkpoint.
    unfinished = shutil.copytree(tmp_path / "finished", tmp_path / "unfinished")
    shutil.rmtree(unfinished / "checkpoints" / "6")
    lines = (unfinished / "metrics.jsonl").read_text().splitlines(True)
    (unfinished / "metrics.jsonl").write_text("".join(line for line in lines if json.loads(line)["step"] <= 4))
    for name in ("curves.png", "predictions.png"):
        (unfinished / name).unlink()
    made = Scene(tmp_path, str(experiment), commands, {})
    for source in ("finished", "unfinished"):
        for command, argv in commands.items():
            run = fresh_copy(made, source)
            status, out, err = call(capsys, argv(run))
            assert status == 0, err
            made.expected[command, source] = figures(command, out, run)
    return made


def fresh_copy(scene: Scene, source: str) -> Path:
    run = scene.folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    return shutil.copytree(scene.folder / source, run)


def figures(command: str, out: str, run: Path) -> Any:
    """What a command reports; of a training besides the metrics without times, but not the folder's name."""
    found = json.loads(out.splitlines()[-1])
    if command != "train":
        return found
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return found["test"], [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]


def corrupt(path: Path, kind: str, others: Path, rng: random.Random) -> bool:
    """Damages one file; False where it could not be, or the bytes are the same."""
    data = path.read_bytes()
    if kind == "flip" and data:
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
    elif kind == "cut" and data:
        path.write_bytes(data[: rng.randrange(len(data))])
    elif kind == "zero":
        path.write_bytes(bytes(len(data)))
    elif kind == "delete":
        path.unlink()
    elif kind == "rename":
        path.rename(path.with_name(path.name + "~"))
    elif kind == "another run's" and others.exists():
        shutil.copy(others, path)
    elif kind == "no permission" and os.geteuid() != 0:  # permissions do not bind root
        path.chmod(0)
        return True
    return not path.exists() or path.read_bytes() != data


def fault(status: int, err: str, same: Callable[[], bool], damaged: Path) -> str:
    """What is wrong with a command's answer to damage; empty where nothing is."""
    if "Traceback" in err:
        return "a traceback"
    said = [line for line in err.splitlines() if line.startswith("cnn-jax")]
    # The file, or the checkpoint that it is a part of.
    names = [damaged.name, *(f"checkpoint {part} in" for part in damaged.parts if part.isdecimal())]
    named = any(name in line for name in names for line in said)
    if status == 0:
        return "" if same() or said else "another result in silence"
    return "" if named else "a refusal without the file's name"


def faults(scene: Scene, capsys, count: int, seed: int) -> list[str]:
    """What is wrong in `count` corruptions under the commands in turn."""
    rng, found = random.Random(seed), []
    for i in range(count):
        command = list(scene.commands)[i % len(scene.commands)]
        source = rng.choice(["finished", "unfinished"])
        run = fresh_copy(scene, source)
        # Pictures are drawn for people, and the lock holds nothing.
        files = [p for p in run.rglob("*") if p.is_file() and p.suffix != ".png" and p.name != ".lock"]
        path, kind = rng.choice(sorted(files)), rng.choice(KINDS)
        damaged = path.relative_to(run)
        if not corrupt(path, kind, scene.folder / "other" / damaged, rng):
            continue
        status, out, err = call(capsys, scene.commands[command](run))
        wrong = fault(
            status,
            err,
            lambda c=command, s=source, o=out, r=run: figures(c, o, r) == scene.expected[c, s],
            damaged,
        )
        if wrong:
            found.append(f"{command} of a {source} run, {kind} {damaged}: {wrong}; status {status}: {err[-400:]}")
    return found


def test_thirty_corruptions(scene, capsys):
    assert not faults(scene, capsys, 30, seed=1)


@pytest.mark.slow
def test_three_hundred_corruptions(scene, capsys):
    assert not faults(scene, capsys, 300, seed=2)


@pytest.mark.parametrize("count", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_corruptions_of_a_prepared_set(experiment, tmp_path, capsys, count):
    """Under training, which reads all of it."""
    pytest.importorskip("cnn_jax.data.store.checksums")
    rng, found = random.Random(count), []
    flags = [*FLAGS, "--data.root"]

    def training(root: Path) -> list[str]:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return ["train", str(experiment), "--workdir", str(tmp_path / "run"), *flags, str(root)]

    status, out, err = call(capsys, training(tmp_path / "whole"))
    assert status == 0, err
    expected = figures("train", out, tmp_path / "run")
    for _ in range(count):
        root = tmp_path / "root"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", root)
        path = rng.choice(sorted(p for p in root.rglob("*") if p.is_file() and p.suffix != ".lock"))
        damaged, kind = path.relative_to(root), rng.choice([k for k in KINDS if k != "another run's"])
        if not corrupt(path, kind, path, rng):
            continue
        status, out, err = call(capsys, training(root))
        wrong = fault(status, err, lambda o=out: figures("train", o, tmp_path / "run") == expected, damaged)
        if wrong:
            found.append(f"{kind} {damaged}: {wrong}; status {status}: {err[-400:]}")
    assert not found
