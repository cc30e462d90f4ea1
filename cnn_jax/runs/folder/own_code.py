"""One's own code beside a run: kept there when the run is trained, and run again to evaluate it, if it is trusted."""

import contextlib
import dataclasses
import hashlib
import json
import os
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path

from cnn_jax.config import ConfigError, difference, stored_code
from cnn_jax.runs.folder.files import write_atomically
from cnn_jax.runs.folder.stored import Run, RunError


def store_code(directory: Path, sources: Mapping[str, bytes]) -> None:
    """Keeps the files of one's own code in a run folder's `code/`, and notes that this user trusts them."""
    folder = directory / "code"
    before = _files(folder)
    for name in before.keys() - sources.keys():
        (folder / name).unlink()
    for name, content in sources.items():
        if before.get(name) != content:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    _trust(digest_of(sources))


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
    if run.content.code is None:
        yield run
        return
    folder = run.directory / "code"
    files = _files(folder)
    if gone := run.content.code["files"].keys() - files.keys():
        raise RunError(f"`{run.directory}` was trained with code of one's own, of which {_list(folder, gone)} is gone.")
    if not trust_code and digest_of(files) not in _trusted():
        raise RunError(
            f"`{run.directory}` was trained with code of one's own, which this command runs: {_list(folder, files)}. "
            "You have not trained with these files here; look at them, and give --trust-code (trust_code=True)."
        )
    with contextlib.ExitStack() as loaded:
        loaded.enter_context(_hidden({name.partition("/")[0].removesuffix(".py") for name in files}))
        try:
            code = stored_code(folder.resolve(), run.content.code["experiment"], run.config)
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


def digest_of(files: Mapping[str, bytes]) -> str:
    """Of files as they are, comments and all."""
    sums = sorted((name, hashlib.sha256(content).hexdigest()) for name, content in files.items())
    return hashlib.sha256(json.dumps(sums).encode()).hexdigest()


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
def _hidden(tops: set[str]) -> Iterator[None]:
    """Modules of these names that are loaded already are out of the way: the run's own are meant."""
    away: dict[str, types.ModuleType] = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in tops}
    for name in away:
        del sys.modules[name]
    try:
        yield
    finally:
        sys.modules.update(away)
