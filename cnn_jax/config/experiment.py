"""Experiment files: plain Python that defines `config()`, run as `python FILE` would run them."""

import contextlib
import dataclasses
import hashlib
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cnn_jax.code.digest import own_code
from cnn_jax.code.own_code import OwnCode
from cnn_jax.code.own_modules import find_own
from cnn_jax.config.flat import ConfigError, check_types
from cnn_jax.config.mistakes import place, remedy
from cnn_jax.config.parts import named_parts
from cnn_jax.config.sections import Config
from cnn_jax.names import EXPERIMENT, nearest
from cnn_jax.paths import local_path

# The modules beside an experiment file that were imported from there, by its folder.
_NEIGHBOURS: dict[Path, dict[str, types.ModuleType]] = {}

# The modules of one's own that the first runs of an experiment file loaded: those elsewhere stay loaded, so that a
# later run of it would seem not to load them.
_LOADED: dict[Path, set[str]] = {}


def load_experiment(path: Path | str) -> Config:
    """Runs an experiment file and returns what its `config()` returns, checked, with the file's name and its own code.

    The file's folder is the first on `sys.path` while it runs, as under `python FILE`. The modules beside it that it
    imported are then put away, so that experiments with other modules of the same names can live in one process;
    `neighbours` brings them back while the experiment is trained.

    Raises:
      ConfigError: when the file is missing or cannot be read, has no `config()`, or `config()` does not make a valid
        Config.
    """
    with executed(path) as file:
        return file.complete(file.call("config", Config))


@dataclasses.dataclass(frozen=True)
class ExperimentFile:
    """An experiment file that has been run."""

    path: Path
    content: bytes
    folder: Path
    module: types.ModuleType
    before: set[str]
    """The modules that were loaded before it ran."""
    codes: dict[tuple[object, ...], OwnCode] = dataclasses.field(default_factory=dict)
    """What counts of it, by the modules that are loaded and the parts of a configuration: a study's runs share them."""

    def call[T](self, name: str, kind: type[T]) -> T:
        """What a function of the file without arguments returns.

        Raises:
          ConfigError: where there is no such function, or it fails, or returns something else.
        """
        function = getattr(self.module, name, None)
        if not callable(function):
            wanted = f"a function without arguments that returns a cnn_jax.{kind.__name__}"
            raise ConfigError(f"`{self.path}` must define `{name}()`, {wanted}.")
        found = self.guarded(function)
        if not isinstance(found, kind):
            got = type(found).__name__
            raise ConfigError(f"`{name}()` in `{self.path}` must return a cnn_jax.{kind.__name__}, got {got}.")
        return found

    def guarded[T](self, function: Callable[..., T], *args: Any) -> T:
        """What a function of the file returns.

        Raises:
          ConfigError: where it fails, naming the line.
        """
        try:
            return function(*args)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"`{self.path}`: {place(error, self.path)}.{remedy(error)}") from error

    def complete(self, config: Config) -> Config:
        """A configuration that the file made, checked, with the file's name and code.

        Raises:
          ConfigError: where it is not valid.
        """
        config = check_types(config, self.path.name)
        shared = (len(sys.modules), *_of_modules(config))
        if shared not in self.codes:
            self.codes[shared] = _code(self.path, self.content, self.folder, config, self.before)
        code = self.codes[shared]
        called = self.path.stem if config.name is None else config.name
        return dataclasses.replace(config, name=called, code=dataclasses.replace(code, module=self.module.__name__))


@contextlib.contextmanager
def executed(path: Path | str) -> Iterator[ExperimentFile]:
    """Runs an experiment file, whose functions can be called while the context lasts; see `load_experiment`.

    Raises:
      ConfigError: when the file is missing, or cannot be read or run.
    """
    path = local_path(path, "EXPERIMENT", utf8=False)
    content = _read(path)
    folder = path.resolve().parent  # a link's target's folder, as Python takes it
    _NEIGHBOURS.pop(folder, None)  # they may have changed since
    with neighbours(folder):
        file = ExperimentFile(path, content, folder, _new_module(path, content), set(sys.modules))
        file.guarded(lambda: exec(compile(content, str(path), "exec"), file.module.__dict__))
        yield file


@contextlib.contextmanager
def stored_code(folder: Path, experiment: str | None, config: Config) -> Iterator[Config]:
    """A stored configuration with the code that was stored beside it, run as `load_experiment` runs it.

    Its `config()` is not called. The code can be used while the context lasts.

    Args:
      folder: where the files lie.
      experiment: the name of the experiment file; None where there was none.

    Raises:
      ConfigError: when a file is missing or cannot be run.
    """
    _NEIGHBOURS.pop(folder, None)
    with neighbours(folder):
        if experiment is None:
            code = own_code(Path("-"), b"", folder=None, parts=_of_modules(config))
            yield dataclasses.replace(config, code=code)
            return
        path = folder / experiment
        content = _read(path)
        module = _new_module(path, content)
        before = set(sys.modules)
        try:
            exec(compile(content, str(path), "exec"), module.__dict__)
        except Exception as error:
            raise ConfigError(f"`{path}`: {place(error, path)}.") from error
        code = _code(path, content, folder, config, before)
        yield dataclasses.replace(config, code=dataclasses.replace(code, module=module.__name__))


def _new_module(path: Path, content: bytes) -> types.ModuleType:
    """A real module, as dataclasses need, under a name that no other file has."""
    module = types.ModuleType(f"{EXPERIMENT}{hashlib.sha256(bytes(path.absolute()) + content).hexdigest()[:16]}")
    module.__file__ = str(path.absolute())
    sys.modules[module.__name__] = module
    return module


def _code(path: Path, content: bytes, folder: Path, config: Config, before: set[str]) -> OwnCode:
    """What counts of an experiment file that has been run, and of what it loaded beside the modules before."""
    loaded = _LOADED.setdefault(path.resolve(), set())
    loaded |= {name for name in sys.modules if name not in before and find_own(name)}
    try:
        return own_code(path, content, folder=folder, parts=_of_modules(config), loaded=sorted(loaded))
    except RecursionError as error:
        raise ConfigError(f"`{path}`: {error}. Write it in shorter parts.") from error


def _of_modules(config: Config) -> list[str]:
    return [part for part in named_parts(config).values() if ":" in part]


@contextlib.contextmanager
def neighbours(folder: Path | None) -> Iterator[None]:
    """Imports find the modules beside an experiment file first, and no other experiment's.

    Args:
      folder: of the experiment file; None where there is none.
    """
    if folder is None:
        yield
        return
    known = _NEIGHBOURS.setdefault(folder, {})
    before = dict(sys.modules)
    sys.modules.update(known)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()  # for files that are younger than the last look into the folder
    try:
        yield
    finally:
        places = {str(folder / name): name for name in {name.partition(".")[0] for name in sys.modules}}
        beside = {name for place, name in places.items() if _stands_at(sys.modules.get(name), place)}
        for name in [name for name in sys.modules if name.partition(".")[0] in beside]:
            if name not in before or name in known:
                known[name] = sys.modules.pop(name)
        sys.modules.update({name: before[name] for name in known if name in before})
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def _stands_at(module: types.ModuleType | None, place: str) -> bool:
    """Whether a module is the file or the folder of this name, and one's own."""
    spec = getattr(module, "__spec__", None)
    if spec is None or spec.name == "cnn_jax":
        return False
    places = [*(spec.submodule_search_locations or ()), str(spec.origin).removesuffix(".py")]
    return place in places and (spec.origin is None or find_own(spec.name) is not None)


def _read(path: Path) -> bytes:
    if path.is_dir():
        first = next(iter(sorted(path.glob("*.py"))), path / "FILE.py")
        raise ConfigError(f"`{path}` is a folder; an experiment is a Python file, such as `{first}`.")
    if not path.is_file():
        folder = path.parent if path.parent.is_dir() else Path()
        there = [p.name for p in folder.glob("*.py")]
        raise ConfigError(
            f"There is no experiment file `{path}`.{nearest(path.name, there, f'{folder}/') if there else ''}"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"`{path}` cannot be read: {error.strerror}.") from error
