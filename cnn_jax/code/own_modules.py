"""Which modules are one's own: those that belong to no installed distribution, wherever they stand. Nothing is run."""

import contextlib
import functools
import importlib.machinery
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

_STDLIB = {Path(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib")}
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class OwnModule:
    """A module of one's own, as it stands in its file."""

    name: str
    """As it is imported."""
    file: str
    """Its path as the name gives it, `package/module.py`, so that it is the same wherever the folder stands."""
    content: bytes

    @property
    def package(self) -> str:
        """What its relative imports are relative to."""
        return self.name if Path(self.file).stem == "__init__" else self.name.rpartition(".")[0]


def find_own(name: str) -> OwnModule | None:
    """The module that `import name` would give here, found without running any; None where it is not one's own.

    Editable installs are one's own; cnn_jax, the standard library and files in a distribution's RECORD are not.
    """
    spec = find_spec(name)
    if spec is None or not spec.origin or name.partition(".")[0] in ("cnn_jax", "__main__"):
        return None
    origin = Path(spec.origin)
    if _is_standard(origin) or _is_installed(origin):
        return None
    try:
        content = origin.read_bytes() if origin.is_file() else spec.loader.get_data(spec.origin)  # type: ignore[union-attr]
    except (OSError, AttributeError):  # built in, frozen
        return None
    inside = "/__init__" if spec.submodule_search_locations is not None else ""
    return OwnModule(name, name.replace(".", "/") + inside + origin.suffix, content)


def find_spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """As `importlib.util.find_spec`, but the packages on the way are not imported."""
    spec, path, whole = None, None, ""
    for part in name.split("."):
        if whole and path is None:
            return None  # below a module that is no package
        whole = f"{whole}.{part}" if whole else part
        spec = getattr(sys.modules.get(whole), "__spec__", None)
        for finder in sys.meta_path if spec is None else ():
            with contextlib.suppress(Exception):  # a finder may object to a package that was not imported
                spec = finder.find_spec(whole, path)
            if spec is not None:
                break
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec


def _is_standard(path: Path) -> bool:
    return any(
        path.is_relative_to(folder) and not set(_INSTALLED) & set(path.relative_to(folder).parts) for folder in _STDLIB
    )


def _is_installed(path: Path) -> bool:
    for entry in map(Path, dict.fromkeys(sys.path)):
        if path.is_relative_to(entry):
            relative = path.relative_to(entry)
            if str(relative) in _recorded(entry) or relative.parts[0].removesuffix(".py") in _unrecorded(entry):
                return True
    return False


@functools.cache
def _recorded(entry: Path) -> frozenset[str]:
    """The files that the distributions of a folder list as theirs."""
    lines = (
        line.rsplit(",", 2)[0].strip('"')
        for record in entry.glob("*.dist-info/RECORD")
        for line in record.read_text(encoding="utf-8", errors="replace").splitlines()
    )
    return frozenset(line for line in lines if not line.endswith((".pyc", ".h", ".txt")))


@functools.cache
def _unrecorded(entry: Path) -> frozenset[str]:
    """The packages of distributions that a system's package manager installed, without a list of their files."""
    if entry.name not in _INSTALLED:
        return frozenset()
    infos = [*entry.glob("*.egg-info"), *(p for p in entry.glob("*.dist-info") if not (p / "RECORD").is_file())]
    lists = (info / "top_level.txt" for info in infos)
    return frozenset(name for path in lists if path.is_file() for name in path.read_text().split())
