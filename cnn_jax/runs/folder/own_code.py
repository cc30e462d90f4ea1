"""One's own code beside a run: kept there when the run is trained, and run again to evaluate it, if it is trusted.

Whoever writes a `config.json` chooses which functions are called, so that those of packages are trusted alike: an
experiment is, with its files as they are, once this user has trained it here. Optax's functions need no trust.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnn_jax.config import ConfigError, difference, named_parts, stored_code
from cnn_jax.runs.folder.files import write_atomically
from cnn_jax.runs.folder.stored import Run, RunError

_OPTAX = {"optax", "optax.contrib", "optax.losses", "optax.schedules"}


def store_code(run: Run) -> None:
    """Keeps the files of one's own code in a run folder's `code/`, and notes that this user trusts the experiment."""
    code = run.config.code
    sources = {} if run.content.code is None or code is None else code.sources
    if not sources and not _foreign(run):
        return
    folder = run.directory / "code"
    before = _files(folder)
    for name in before.keys() - sources.keys():
        (folder / name).unlink()
    for name, content in sources.items():
        if before.get(name) != content:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    _trust(_digest(run, sources))


def _foreign(run: Run) -> list[str]:
    """The functions that its configuration names, and that are neither ours nor Optax's."""
    return [name for name in named_parts(run.config).values() if ":" in name and name.partition(":")[0] not in _OPTAX]


def _files(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "__pycache__")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@contextlib.contextmanager
def with_code(run: Run, *, trust_code: bool = False) -> Iterator[Run]:
    """The run, its own code loaded as it lies in the folder while the context lasts; other runs come as they are.

    Args:
      trust_code: run it although this user has not trained with these files.

    Raises:
      RunError: when the code is not trusted, is gone, or computes something else than what was trained.
    """
    folder, foreign = run.directory / "code", _foreign(run)
    if run.content.code is None:
        if foreign and not trust_code and _digest(run, {}) not in _trusted():
            raise RunError(
                f"`{run.directory}` was trained with functions of packages, which this command calls: "
                f"{', '.join(foreign)}. You have not trained this experiment here; look at it, and give --trust-code "
                "(trust_code=True)."
            )
        yield run
        return
    files = _files(folder)
    if gone := run.content.code["files"].keys() - files.keys():
        raise RunError(f"`{run.directory}` was trained with code of one's own, of which {_list(folder, gone)} is gone.")
    if not trust_code and _digest(run, files) not in _trusted():
        raise RunError(
            f"`{run.directory}` was trained with code of one's own, which this command runs: {_list(folder, files)}. "
            "You have not trained this experiment with these files here; look at them, and give --trust-code "
            "(trust_code=True)."
        )
    with contextlib.ExitStack() as loaded:
        loaded.enter_context(_from_source())
        loaded.enter_context(_hidden({name.partition("/")[0].removesuffix(".py") for name in files}))
        try:
            code = stored_code(folder.resolve(), _experiment(run.content.code), run.config)
            config = loaded.enter_context(code)
        except ConfigError as error:
            raise RunError(str(error)) from error
        content = dataclasses.replace(run.content, code=config.code.record() if config.code else None)
        if changed := difference(run.content.flat(), content.flat()):
            raise RunError(
                f"the code in `{folder}` is not what the run was trained with: {', '.join(changed)} differs. Put "
                "back the files as they were, or train again."
            )
        yield dataclasses.replace(run, config=config)


def _experiment(code: Mapping[str, Any]) -> str | None:
    """The name of the experiment file; where it was not stored yet, that of the one file there is."""
    names = list(code["files"])
    found: str | None = code.get("experiment", names[0] if len(names) == 1 else None)
    return found


def _digest(run: Run, files: Mapping[str, bytes]) -> str:
    """Of an experiment and of the files as they are, comments and all."""
    sums = sorted((name, hashlib.sha256(content).hexdigest()) for name, content in files.items())
    return hashlib.sha256(json.dumps([run.identity, sums]).encode()).hexdigest()


def _list(folder: Path, names: object) -> str:
    return ", ".join(f"`{folder / name}`" for name in sorted(names))  # type: ignore[call-overload]


def _trust_file() -> Path:
    """One digest a line: of code that this user has trained with."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "cnn_jax" / "trusted"


def _trusted() -> set[str]:
    with contextlib.suppress(OSError, RuntimeError):  # a user without a home trusts nothing
        return set(_trust_file().read_text(errors="replace").split())
    return set()


def _trust(digest: str) -> None:
    trusted = _trusted()
    if digest not in trusted:
        with contextlib.suppress(OSError, RuntimeError):  # then --trust-code is asked for
            _trust_file().parent.mkdir(parents=True, exist_ok=True)
            write_atomically(_trust_file(), "".join(f"{known}\n" for known in sorted({*trusted, digest})))


@contextlib.contextmanager
def _from_source() -> Iterator[None]:
    """Modules are compiled from their source: no bytecode is left beside it, nor taken from there, unseen as it is."""
    before = sys.dont_write_bytecode, sys.pycache_prefix
    sys.dont_write_bytecode, sys.pycache_prefix = True, os.devnull  # below which there is no file
    try:
        yield
    finally:
        sys.dont_write_bytecode, sys.pycache_prefix = before


@contextlib.contextmanager
def _hidden(tops: set[str]) -> Iterator[None]:
    """Modules of these names that are loaded already are out of the way: the run's own are meant."""
    away: dict[str, types.ModuleType] = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in tops}
    for name in away:
        del sys.modules[name]
    try:
        yield
    finally:
        sys.modules.update(away)
