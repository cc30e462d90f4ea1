"""Damage to any file of a run folder or a prepared set is harmless, repaired and said, or refused with the file's name.

Five corruptions here, one under each command; three hundred, drawn by another seed, take a quarter of an hour:

    uv run pytest -n 0 -m slow tests/test_corruption.py
"""

import contextlib
import dataclasses
import io
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax.cli import main
from cnn_jax.runs.folder.events import cut_events, read_records

KINDS = ("flip", "cut", "zero", "delete", "rename", "another run's", "no permission")
FLAGS = ("--model.conv", "xla", "--data.batch-size", "32", "--train.steps", "6", "--train.log-every", "2")
FLAGS += ("--train.eval-every", "2", "--train.checkpoint-every", "2", "--train.keep-checkpoints", "3")
NOBODY = 65534


@dataclasses.dataclass(frozen=True)
class Scene:
    """Folders in which everything is well, and what each command reports of them."""

    folder: Path
    commands: dict[str, Callable[[Path], list[str]]]
    expected: dict[tuple[str, str], Any]


def call(argv: list[str], user: int | None = None) -> tuple[int, str, str]:
    """Status, output and what is said of a command, run as a user; None is this process's own."""
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
        acting(user),
    ):
        status = main([*argv, "--json"])
    return status, out.getvalue(), err.getvalue()


@contextlib.contextmanager
def acting(user: int | None) -> Iterator[None]:
    """The files are opened with a user's rights: permissions do not bind root."""
    if user is None:
        yield
        return
    mine = os.geteuid()
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(mine)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder to which every user finds the way; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def scene(lenet, place):
    image, recipe = place / "image.png", Path(shutil.copy(lenet, place))
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(image)

    def training(run: Path) -> list[str]:
        return ["train", str(recipe), "--workdir", str(run), "--data.root", str(place / "data"), *FLAGS]

    commands = {
        "train": training,
        "eval": lambda run: ["eval", str(run)],
        "eval best": lambda run: ["eval", str(run), "--step", "best"],
        "predict": lambda run: ["predict", str(run), str(image)],
        "runs": lambda run: ["runs", str(run)],
    }
    for name, more in (("finished", ()), ("other", ("--seed", "1"))):
        status, _, err = call([*training(place / name), *more])
        assert status == 0, err
    # As one that was killed after its last but one checkpoint.
    unfinished = shutil.copytree(place / "finished", place / "unfinished")
    shutil.rmtree(unfinished / "checkpoints" / "6")
    lines = (unfinished / "metrics.jsonl").read_text().splitlines(True)
    (unfinished / "metrics.jsonl").write_text("".join(line for line in lines if json.loads(line)["step"] <= 4))
    cut_events(unfinished, max(record.end for record in read_records(unfinished)[0] if record.event.step <= 4))
    for name in ("curves.png", "predictions.png"):
        (unfinished / name).unlink()
    made = Scene(place, commands, {})
    for source in ("finished", "unfinished"):
        for command, argv in commands.items():
            run = fresh_copy(made, source)
            status, out, err = call(argv(run))
            assert status == 0 and "cnn-jax" not in err, err
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
    """Damages one file; False where the bytes are the same."""
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
    elif kind == "no permission":
        path.chmod(0)
        return True
    return not path.exists() or path.read_bytes() != data


def bound_user(kind: str, folder: Path) -> int | None:
    """The user whom permissions bind and who owns the folder; None where that is the one that runs the tests."""
    if kind != "no permission" or os.geteuid() != 0:
        return None
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, -1)
    return NOBODY


def fault(status: int, err: str, same: Callable[[], bool], damaged: Path, reasons: tuple[str, ...] = ()) -> str:
    """What is wrong with a command's answer to damage; empty where nothing is.

    Args:
      reasons: what a list of runs says of those that it cannot read.
    """
    if "Traceback" in err:
        return "a traceback"
    said = [line for line in (*err.splitlines(), *reasons) if line.startswith(("cnn-jax", "`"))]
    # The file, or the checkpoint that it is a part of.
    names = [damaged.name, *(f"checkpoint {part} in" for part in damaged.parts if part.isdecimal())]
    named = any(name in line for name in names for line in said)
    if status == 0 and not reasons:
        return "" if same() or said else "another result in silence"
    return "" if named else "a refusal without the file's name"


def faults(scene: Scene, count: int, seed: int) -> list[str]:
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
        status, out, err = call(scene.commands[command](run), bound_user(kind, run))
        rows = json.loads(out.splitlines()[-1])["runs"] if command == "runs" and status == 0 else []
        wrong = fault(
            status,
            err,
            lambda c=command, s=source, o=out, r=run: figures(c, o, r) == scene.expected[c, s],
            damaged,
            tuple(row["reason"] for row in rows if "reason" in row),
        )
        if wrong:
            found.append(
                f"{command} of a {source} run, {kind} {damaged}: {wrong}; status {status}: {err[-400:]} {rows}"
            )
    return found


@pytest.mark.parametrize(("count", "seed"), [(5, 1), pytest.param(300, 2, marks=pytest.mark.slow)])
def test_corruptions_of_a_run_folder(scene, count, seed):
    assert not faults(scene, count, seed)


@pytest.mark.parametrize("count", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_corruptions_of_a_prepared_set(scene, count):
    """Under training, which reads all of it."""
    rng, found = random.Random(count), []
    # Below a folder of its own: the run's belongs to the user who trains.
    own, run, root = scene.folder / "own", scene.folder / "own" / "run", scene.folder / "own" / "root"
    for _ in range(count):
        shutil.rmtree(own, ignore_errors=True)
        shutil.copytree(scene.folder / "data", root)
        path = rng.choice(sorted(p for p in root.rglob("*") if p.is_file() and p.suffix != ".lock"))
        damaged, kind = path.relative_to(root), rng.choice([k for k in KINDS if k != "another run's"])
        if not corrupt(path, kind, path, rng):
            continue
        argv = [*scene.commands["train"](run), "--data.root", str(root)]
        status, out, err = call(argv, bound_user(kind, own))
        expected = scene.expected["train", "finished"]
        wrong = fault(status, err, lambda o=out, e=expected: figures("train", o, run) == e, damaged)
        if wrong:
            found.append(f"{kind} {damaged}: {wrong}; status {status}: {err[-400:]}")
    assert not found
