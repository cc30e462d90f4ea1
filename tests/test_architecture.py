"""The house rules that a reader relies on: which way imports go, what is loaded when, and that no file is a drawer."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cnn_jax"

# What each room may import from, beside itself.  A room that is not listed imports nothing of the package.
DOORS = {
    "native": {"paths"},
    "ops": {"native"},
    "modules": {"ops", "randomness"},
    "models": {"modules", "nearest", "ops", "randomness", "signatures", "typed"},
    "inspect": {"models", "modules", "nearest", "ops", "randomness"},
    "weights": {"download", "models", "modules", "ops", "paths"},
    "data": {"download", "logs", "nearest", "paths", "randomness"},
    "parallel": {"ops", "randomness"},
    "code": set(),
    "config": {"code", "names", "paths", "typed"},
    "training": {"data", "models", "modules", "ops", "parallel", "randomness", "signatures"},
    "runs": {
        *("code", "config", "data", "inspect", "logs", "models", "modules", "names", "native", "ops", "parallel"),
        *("nearest", "paths", "randomness", "signatures", "training", "weights"),
    },
    "study": {"config", "data", "inspect", "parallel", "paths", "runs"},
    "download": set(),
    "logs": set(),
    "names": {"nearest"},
    "nearest": set(),
    "signatures": {"names"},
    "paths": set(),
    "typed": set(),
    "randomness": set(),
}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The modules of the package that a file imports, without the leading `cnn_jax.`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("cnn_jax.") for name in names if name.startswith("cnn_jax.")}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downward_only(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room in ("cli", "__main__", "__init__"):
        return  # the front door may open every room
    allowed = DOORS[room] | {room}
    strangers = {m for m in imported(path) if not any(m == a or m.startswith(f"{a}.") for a in allowed)}
    assert not strangers, f"{path.relative_to(ROOT)} must not import {sorted(strangers)}"


def test_the_import_walk_finds_a_forbidden_import(tmp_path):
    file = ROOT / "cnn_jax" / "ops" / "imaginary.py"
    source = "from cnn_jax.training import loop\nfrom cnn_jax.config import Config\nimport cnn_jax.data\n"

    class Imaginary(type(file)):
        def read_text(self, *_):
            return source

    assert {"training", "config", "data"} <= imported(Imaginary(file))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_rooms_and_not_drawers(path):
    assert path.stem.rstrip("s") not in ("util", "helper", "misc", "common")
    assert path.read_text().count("\n") <= 250


@pytest.mark.parametrize("folder", sorted({path.parent for path in SOURCES}), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_has_no_more_than_twenty_files(folder):
    assert len([path for path in SOURCES if path.parent == folder and path.name != "__init__.py"]) <= 20


def loaded_after(code: str) -> set[str]:
    """The top-level modules loaded in a new process after running `code`."""
    code += "\nimport sys; print(*{name.split('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    heavy = {"jax", "flax", "tensorflow", "tensorflow_datasets", "matplotlib", "optuna", "orbax", "cv2", "sklearn"}
    assert not loaded_after("import cnn_jax, cnn_jax.cli") & heavy


def test_the_probe_of_loaded_modules_sees_what_is_loaded():
    assert "jax" in loaded_after("import jax")


def test_test_files_have_names_of_their_own():
    # pytest imports them all as top-level modules, and refuses a second one of a name.
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)
