"""What an installed wheel needs is declared, and the README's start is what the CI runs."""

import ast
import functools
import importlib.metadata
import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
EXTRAS = PROJECT["optional-dependencies"]

# What an extra of the project brings, or JAX where it has an accelerator.
OPTIONAL = {"torch", "submitit", "h5py", "optuna", "altair", "vl_convert", "jinja2", "libtpu"}
# Imported by TFDS, and by JAX.
BEHIND = {"array-record", "importlib-resources", "tensorflow-cpu", "flatbuffers"}


def imported_packages():
    """The top-level names of other packages that any file of cnn_jax imports, with one file each."""
    names = {}
    for path in (ROOT / "cnn_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found = [node.module]
            else:
                continue
            names |= {name.partition(".")[0]: path.name for name in found}
    return {name: path for name, path in names.items() if name not in {"cnn_jax", *sys.stdlib_module_names}}


@functools.cache
def installed():
    """The packages that bring each module; asking all of them takes a second."""
    return importlib.metadata.packages_distributions()


def distributions(name):
    """The packages that may bring a module of this name."""
    return {re.sub("[-_.]+", "-", d).lower() for d in installed().get(name, [name])}


def declared(lines):
    """The packages of requirements, each with its lower bound."""
    return dict(re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", line).groups() for line in lines)


def test_every_package_imported_at_run_time_is_declared():
    mandatory = set(declared(PROJECT["dependencies"]))
    imported = imported_packages()
    assert not {n: p for n, p in imported.items() if n not in OPTIONAL and not mandatory & distributions(n)}


def test_what_is_declared_is_used_and_has_a_lower_bound_below_the_tested_version():
    requirements = declared([*PROJECT["dependencies"], *itertools.chain(*EXTRAS.values())])
    used = set().union(*(distributions(name) for name in imported_packages()))
    assert set(requirements) - used == BEHIND
    tested = dict(line.split("==") for line in SETTINGS["tool"]["uv"]["constraint-dependencies"])
    parts = {n: [[int(p) for p in re.findall(r"\d+", v)] for v in (low, tested[n])] for n, low in requirements.items()}
    assert not {name: bounds for name, bounds in parts.items() if bounds[0] > bounds[1]}


def test_every_wheel_of_an_accelerator_is_pinned():
    """As the lock file that `uv run` made here resolves them; it names download hosts, so it is in no commit."""
    lock = ROOT / "uv.lock"
    if not lock.exists():
        pytest.skip("no uv.lock here: run `uv lock`")
    packages = {package["name"]: package for package in tomllib.loads(lock.read_text())["package"]}
    pinned = {line.partition("==")[0] for line in SETTINGS["tool"]["uv"]["constraint-dependencies"]}
    waiting, seen = [{"name": "jax", "extra": ["cuda13"]}, {"name": "jax", "extra": ["tpu"]}], set()
    while waiting:
        package = waiting.pop()
        key = package["name"], *package.get("extra", ())
        if key in seen:
            continue
        seen.add(key)
        found = packages[package["name"]]
        waiting += found.get("dependencies", [])
        for extra in package.get("extra", ()):
            waiting += found["optional-dependencies"][extra]
    names = {name for name, *_ in seen}
    assert {"jax-cuda13-plugin", "nvidia-cudnn-cu13", "libtpu"} <= names
    assert names <= pinned


def test_the_walk_finds_packages():
    assert {"jax", "flax", "PIL", "cv2", "lazy_loader"} <= set(imported_packages())


def test_the_lists_of_lazy_names_lie_beside_their_packages():
    """A wheel holds every file of the package: hatchling leaves out only what git ignores."""
    stubs = [p.parent for p in (ROOT / "cnn_jax").rglob("__init__.pyi")]
    users = [p.parent for p in (ROOT / "cnn_jax").rglob("__init__.py") if "attach_stub" in p.read_text()]
    assert sorted(stubs) == sorted(users)
    command = ["git", "-C", str(ROOT), "check-ignore", *(str(p / "__init__.pyi") for p in stubs)]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""


def test_the_ci_runs_the_commands_of_the_start():
    script = (ROOT / ".ci" / "run").read_text()
    extraction = re.search(r"^start=\$\((.*)\)$", script, re.MULTILINE)[1]
    start = subprocess.run(["bash", "-c", extraction], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert start.splitlines() == [
        "pip install uv",
        "uv run cnn-jax train experiments/digits_lenet.py",
        "uv run pytest",
    ]


def test_the_version_is_the_same_wherever_it_stands():
    version = PROJECT["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == version


def test_what_imports_tensorflow_or_keras_in_the_tests_is_marked():
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text()
        if re.search(r"importorskip\(\"(keras|tensorflow)\"", text) and path != Path(__file__):
            assert "mark.tensorflow" in text, path
