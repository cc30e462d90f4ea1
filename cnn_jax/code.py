"""The digest of one's own code: what of an experiment file, and of the modules that it imports, can change a result.

Of each file counts what a named part, or a statement at its top that does more than import or define, reaches by name,
from file to file. So a patch counts, with the function that it puts in place and all that this one calls; `config()`,
`ablation`, and helpers that only they use, do not: what they give stands in the configuration. Comments, docstrings,
layout and places of files do not count, and nothing is run. Where names cannot be followed, more counts than need be.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cnn_jax.code_names import Chain, bound_names, changed_names, is_definition, references, same_scope, without_words
from cnn_jax.own_modules import OwnModule, find_own, find_spec

_SETTINGS = ("config", "ablation")  # of an experiment file: they count as the configuration that they give
_REFLECTION = {"globals", "locals", "vars", "eval", "exec"}  # reach what no name shows
_LOADERS = {"import_module", "__import__", "exec", "eval", "run_path", "run_module", "spec_from_file_location"}

Import = tuple[ast.Import | ast.ImportFrom, ast.alias]


@dataclass(frozen=True)
class OwnFile:
    """A file of which something counts."""

    name: str
    """Relative to the experiment's folder, or as its module's name gives it."""
    digest: str
    """SHA-256 of what counts of it."""
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class OwnCode:
    """One's own code in an experiment."""

    folder: Path
    """Of the experiment file: modules beside it are imported from there."""
    digest: str | None
    """SHA-256 of what counts of all files; None where nothing does."""
    files: tuple[OwnFile, ...]

    def record(self) -> dict[str, object] | None:
        """As `config.json` keeps it."""
        return None if self.digest is None else {"digest": self.digest, "files": {f.name: f.digest for f in self.files}}


def own_code(
    path: Path, content: bytes, *, folder: Path, parts: Iterable[str] = (), loaded: Iterable[str] = ()
) -> OwnCode:
    """What counts of an experiment file and of the modules that it imports, as they stand on `sys.path` now.

    Args:
      content: of the file.
      folder: where the modules beside it stand.
      parts: names at its top that the experiment uses by name.
      loaded: modules of one's own that it really loaded: they count whole, where it imports by computed names.

    Raises:
      SyntaxError: where the file itself cannot be read. (Of a module that cannot be read, all counts.)
    """
    ast.parse(content)
    reach = _Reach(_Module(OwnModule("", path.name, content)), tuple(loaded))
    for part in parts:
        reach.name(reach.experiment, (part,))
    files = tuple(reach.files())
    digest = hashlib.sha256(json.dumps(sorted((name, f.digest) for name, f in files)).encode()).hexdigest()
    return OwnCode(folder, digest if files else None, tuple(f for _, f in files))


class _Module:
    """A module's statements, without their words, and what they bind."""

    def __init__(self, module: OwnModule) -> None:
        self.module = module
        try:
            tree = ast.parse(module.content)
        except (SyntaxError, ValueError):  # compiled, or broken: what it is, it is as a whole
            tree = ast.parse(f"print({hashlib.sha256(module.content).hexdigest()!r})")
        self.statements: list[ast.stmt] = without_words(tree).body
        self.bindings: dict[str, list[int]] = {}
        for index, statement in enumerate(self.statements):
            for name in bound_names(statement) | changed_names(statement):
                self.bindings.setdefault(name, []).append(index)
        self.imports = _imports(node for statement in self.statements for node in same_scope(statement))

    @cached_property
    def effects(self) -> list[int]:
        """The statements that do more than import and define."""
        targets = {name: self.target(*found[-1]) for name, found in self.imports.items()}
        return [i for i, statement in enumerate(self.statements) if not is_definition(statement, targets)]

    def target(self, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
        """The full name of what an import binds."""
        if isinstance(node, ast.Import):
            return alias.name if alias.asname else alias.name.partition(".")[0]
        return f"{self.base(node)}.{alias.name}"

    def base(self, node: ast.ImportFrom) -> str:
        """The full name of the module after `from`."""
        above = self.module.package.split(".")[: 1 - node.level or None] if node.level else []
        return ".".join(part for part in (*above, node.module) if part)


def _imports(nodes: Iterable[ast.AST]) -> dict[str, list[Import]]:
    """The imports among the nodes, by the name that each binds."""
    found: dict[str, list[Import]] = {}
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                found.setdefault(alias.asname or alias.name.partition(".")[0], []).append((node, alias))
    return found


class _Reach:
    """What is reached, statement by statement, from what an experiment file does."""

    def __init__(self, experiment: _Module, loaded: tuple[str, ...]) -> None:
        self.experiment, self._loaded = experiment, loaded
        self._modules: dict[str, _Module | None] = {}
        self._run: set[str] = set()
        self._followed: set[tuple[object, ...]] = set()
        self._statements: dict[_Module, set[int]] = {}
        self._used: dict[_Module, set[str]] = {}
        self._execute(experiment)

    def files(self) -> Iterator[tuple[str, OwnFile]]:
        """Name of the module and file, of all of which something counts."""
        for module in sorted(self._statements, key=lambda m: m.module.name):
            texts = [ast.unparse(module.statements[index]) for index in sorted(self._statements[module])]
            digest = hashlib.sha256(json.dumps([sorted(self._used.get(module, ())), texts]).encode()).hexdigest()
            yield module.module.name, OwnFile(module.module.file, digest, module.module.content)

    def name(self, module: _Module, chain: Chain, local: dict[str, list[Import]] | None = None) -> None:
        """Reaches what a name, and its attributes, stand for in a module."""
        first, rest = chain[0], chain[1:]
        imports = (local or {}).get(first) or module.imports.get(first, [])
        for node, alias in imports:
            self._follow(module, node, alias, rest)
        statements = [i for i in module.bindings.get(first, []) if not _is_import(module.statements[i])]
        for index in statements:
            self._count(module, index)
        if not imports and not statements:
            for node, _ in module.imports.get("*", []):
                other = self._find(module.base(node)) if isinstance(node, ast.ImportFrom) else None
                if other is not None and (module, node, chain) not in self._followed:
                    self._followed.add((module, node, chain))
                    self.name(other, chain)
            if first in _REFLECTION:
                self._whole(module)
        if chain[:2] == ("sys", "modules"):
            self._whole(module)

    def _find(self, name: str) -> _Module | None:
        if name not in self._modules:
            found = find_own(name)
            self._modules[name] = None if found is None else _Module(found)
        return self._modules[name]

    def _execute(self, module: _Module) -> None:
        """A module that is imported does what stands at its top, and imports in turn; `config()` is always called."""
        for index, statement in enumerate(module.statements):
            for node in ast.walk(statement) if self._is_setting(module, index) else same_scope(statement):
                self._import(module, node)
        for index in module.effects:
            if not self._is_setting(module, index) or changed_names(module.statements[index]) & module.imports.keys():
                self._count(module, index)

    def _import(self, module: _Module, node: ast.AST) -> None:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{module.base(node)}.{alias.name}" for alias in node.names]
        for parts in (name.split(".") for name in names):
            for count in range(1, len(parts) + 1):
                name = ".".join(parts[:count])
                if name not in self._run:
                    self._run.add(name)
                    if found := self._find(name):
                        self._execute(found)

    def _count(self, module: _Module, index: int) -> None:
        counted = self._statements.setdefault(module, set())
        if index in counted:
            return
        counted.add(index)
        statement = module.statements[index]
        for node in ast.walk(statement):
            self._import(module, node)
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in _LOADERS:
                literal = [a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                for name in literal if literal and self._find(literal[0]) else self._loaded:
                    self._attribute(name, ())
        local = _imports(ast.walk(statement))
        for chain in references(statement):
            self.name(module, chain, local)

    def _follow(self, module: _Module, node: ast.Import | ast.ImportFrom, alias: ast.alias, rest: Chain) -> None:
        """Reaches what an imported name stands for; what it stands for counts as it is written."""
        target = module.target(node, alias)
        if (followed := (module, node, alias, rest)) in self._followed:
            return  # modules that import each other
        self._followed.add(followed)
        self._used.setdefault(module, set()).add(f"{target} as {alias.asname or alias.name}")
        other = self._find(module.base(node)) if isinstance(node, ast.ImportFrom) else None
        binds = other is not None and other is not module and (alias.name in other.bindings or "*" in other.imports)
        if other is not None and binds:
            self.name(other, (alias.name, *rest))
        else:
            self._attribute(target, rest)

    def _attribute(self, name: str, rest: Chain) -> None:
        """Reaches an attribute of a module; without one, the module is used as a whole."""
        module = self._find(name)
        spec = find_spec(name) if module is None else None
        if module is None and (spec is None or spec.origin is not None):
            return  # not one's own; a namespace has no origin
        if rest and (module is None or rest[0] not in module.bindings) and self._find(f"{name}.{rest[0]}"):
            self._attribute(f"{name}.{rest[0]}", rest[1:])
        elif module is not None and rest and (rest[0] in module.bindings or "*" in module.imports):
            self.name(module, rest)
        elif module is not None:
            self._whole(module)

    def _is_setting(self, module: _Module, index: int) -> bool:
        return module is self.experiment and bool(bound_names(module.statements[index]) & set(_SETTINGS))

    def _whole(self, module: _Module) -> None:
        for index, statement in enumerate(module.statements):
            if not _is_import(statement) and not self._is_setting(module, index):
                self._count(module, index)
        for found in module.imports.values():
            for node, alias in found:
                text = f"{module.target(node, alias)} as {alias.asname or alias.name}"
                if text not in self._used.setdefault(module, set()):
                    self._follow(module, node, alias, ())


def _is_import(statement: ast.stmt) -> bool:
    return isinstance(statement, (ast.Import, ast.ImportFrom))
