"""The digest of one's own code: what of an experiment file, and of the modules that it imports, can change a result.

Of each file counts what a named part, or a statement at its top that does more than import or define, reaches by name,
from file to file. So a patch counts, with the function that it puts in place and all that this one calls; `config()`,
`ablation`, and helpers that only they use, do not: what they give stands in the configuration. Comments, docstrings,
layout and places of files do not count, and nothing is run. Where names cannot be followed, more counts than need be.
"""

import ast
import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from cnn_jax.code.changes import changes, functions_in
from cnn_jax.code.module import CodeModule, Import, imports_of, is_import
from cnn_jax.code.names import Chain, Function, bound_names, is_definition, references, same_scope
from cnn_jax.code.own_code import OwnCode, OwnFile
from cnn_jax.code.own_modules import OwnModule, find_own, find_spec
from cnn_jax.code.scope import Scope
from cnn_jax.code.text import deep_trees

_SETTINGS = ("config", "ablation")  # of an experiment file: they count as the configuration that they give
_REFLECTION = {"globals", "locals", "vars", "eval", "exec"}  # reach what no name shows
_LOADERS = {"import_module", "__import__", "exec", "eval", "run_path", "run_module", "spec_from_file_location"}


def own_code(
    path: Path, content: bytes, *, folder: Path | None, parts: Iterable[str] = (), loaded: Iterable[str] = ()
) -> OwnCode:
    """What counts of an experiment file and of the modules that it imports, as they stand on `sys.path` now.

    Args:
      content: of the file.
      folder: where the modules beside it stand.
      parts: what counts although no statement uses it: functions that a configuration names, as `:name` at the top of
        the file, or as `package.module:name`; those that are not one's own count nothing.
      loaded: modules of one's own that it really loaded: they count whole, where it imports by computed names.

    Raises:
      SyntaxError: where the file itself cannot be read. (Of a module that cannot be read, all counts.)
      RecursionError: where an expression is nested deeper than `ast` can follow; it names the file.
    """
    ast.parse(content)
    with deep_trees():
        reach = _Reach(CodeModule(OwnModule("", path.name, content)), tuple(loaded))
        reach.run(parts)
        files, sources = tuple(reach.files()), reach.sources()
    digest = hashlib.sha256(json.dumps(sorted((name, f.digest) for name, f in files)).encode()).hexdigest()
    counted = tuple(f for _, f in files)
    return OwnCode(folder, digest if files else None, counted, sources, path, content, tuple(loaded))


def code_naming(code: OwnCode, parts: Iterable[str]) -> OwnCode:
    """The same experiment's code, where its configuration names these functions."""
    found = own_code(code.path, code.content, folder=code.folder, parts=parts, loaded=code.loaded)
    return replace(found, module=code.module)


class _Reach:
    """What is reached, statement by statement, from what an experiment file does."""

    def __init__(
        self, experiment: CodeModule, loaded: tuple[str, ...], modules: dict[str, CodeModule | None] | None = None
    ) -> None:
        self.experiment, self._loaded = experiment, loaded
        self._modules = {} if modules is None else modules
        self._scopes: dict[CodeModule, Scope] = {}
        self._run: set[str] = set()
        self._followed: set[tuple[object, ...]] = set()
        self._statements: dict[CodeModule, set[int]] = {}
        self._used: dict[CodeModule, set[str]] = {}
        self._work: deque[Callable[[], None]] = deque()  # no recursion: a chain of functions may have any length

    def run(self, parts: Iterable[str]) -> None:
        """Reaches all that counts: what is done at the tops of the files, by `config()` as a patch, and named parts."""
        self._execute(self.experiment)
        for place, _, attribute in (part.rpartition(":") for part in parts):
            if place:
                self._load(place)
                self._attribute(place, tuple(attribute.split(".")))
            else:
                self.name(self.experiment, tuple(attribute.split(".")))
        for index in range(len(self.experiment.statements)):
            if self._is_setting(self.experiment, index) and self._setting_patches(index):
                self._count(self.experiment, index)
        self._finish()

    def _finish(self) -> None:
        while self._work:
            self._work.popleft()()

    def _setting_patches(self, index: int) -> bool:
        """Whether `config()`, or a function that it uses, changes what it did not make."""
        alone = _Reach(self.experiment, self._loaded, self._modules)
        alone._count(self.experiment, index)
        alone._finish()
        return changes(self._scope(self.experiment).within([self.experiment.statements[index]])) or any(
            self._patches(module, node)
            for module, indices in alone._statements.items()
            for i in indices
            for node in functions_in(module.statements[i])
        )

    def _patches(self, module: CodeModule, function: Function) -> bool:
        return changes(self._scope(module).inner(function))

    def _scope(self, module: CodeModule) -> Scope:
        if module not in self._scopes:
            self._scopes[module] = Scope(module.statements, module.target, self._defined)
        return self._scopes[module]

    def _defined(self, name: str) -> tuple[ast.stmt, Scope] | None:
        """The function or class of a full name, where a module of one's own defines it once, and its scope."""
        place, _, last = name.rpartition(".")
        module = self._find(place) if place else None
        found = [] if module is None else [s for s in module.statements if getattr(s, "name", None) == last]
        return (found[0], self._scope(module)) if module is not None and len(found) == 1 else None

    def files(self) -> Iterator[tuple[str, OwnFile]]:
        """Name of the module and file, of all of which something counts."""
        for module in sorted(self._statements, key=lambda m: m.module.name):
            texts = [module.text(index) for index in sorted(self._statements[module])]
            digest = hashlib.sha256(json.dumps([sorted(self._used.get(module, ())), texts]).encode()).hexdigest()
            yield module.module.name, OwnFile(module.module.file, digest)

    def sources(self) -> dict[str, bytes]:
        """The contents of all files that are run."""
        found = [self.experiment, *(module for name in sorted(self._run) if (module := self._find(name)))]
        return {module.module.file: module.module.content for module in found}

    def name(self, module: CodeModule, chain: Chain, local: dict[str, list[Import]] | None = None) -> None:
        """Reaches what a name, and its attributes, stand for in a module."""
        first, rest = chain[0], chain[1:]
        imports = (local or {}).get(first) or module.imports.get(first, [])
        for node, alias in imports:
            self._follow(module, node, alias, rest)
        statements = [i for i in module.bindings.get(first, []) if not is_import(module.statements[i])]
        for index in statements:
            self._count(module, index)
        if not imports and not statements:
            for node, _ in module.imports.get("*", []):
                other = self._find(module.base(node)) if isinstance(node, ast.ImportFrom) else None
                if other is not None and (module, node, chain) not in self._followed:
                    self._followed.add((module, node, chain))
                    self._work.append(partial(self.name, other, chain))
            if first in _REFLECTION:
                self._whole(module)
        if chain[:2] == ("sys", "modules"):
            self._whole(module)

    def _find(self, name: str) -> CodeModule | None:
        if name not in self._modules:
            found = find_own(name)
            self._modules[name] = None if found is None else CodeModule(found)
        return self._modules[name]

    def _execute(self, module: CodeModule) -> None:
        """A module that is imported does what stands at its top, and imports in turn; `config()` is always called."""
        for index, statement in enumerate(module.statements):
            for node in ast.walk(statement) if self._is_setting(module, index) else same_scope(statement):
                self._import(module, node)
        targets = {name: module.target(*found[-1]) for name, found in module.imports.items()}
        for index, statement in enumerate(module.statements):
            patches = partial(self._patches, module)
            if not self._is_setting(module, index) and not is_definition(statement, targets, patches):
                self._count(module, index)

    def _import(self, module: CodeModule, node: ast.AST) -> None:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{module.base(node)}.{alias.name}" for alias in node.names]
        for name in names:
            self._load(name)

    def _load(self, whole: str) -> None:
        """A module, and the packages above it, are run."""
        parts = whole.split(".")
        for count in range(1, len(parts) + 1):
            name = ".".join(parts[:count])
            if name not in self._run:
                self._run.add(name)
                if found := self._find(name):
                    self._work.append(partial(self._execute, found))

    def _count(self, module: CodeModule, index: int) -> None:
        counted = self._statements.setdefault(module, set())
        if index in counted:
            return
        counted.add(index)
        self._work.append(partial(self._look_into, module, module.statements[index]))

    def _look_into(self, module: CodeModule, statement: ast.stmt) -> None:
        for node in ast.walk(statement):
            self._import(module, node)
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in _LOADERS:
                literal = [a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                for name in literal if literal and self._find(literal[0]) else self._loaded:
                    self._attribute(name, ())
        local = imports_of(ast.walk(statement))
        for chain in references(statement):
            self.name(module, chain, local)

    def _follow(self, module: CodeModule, node: ast.Import | ast.ImportFrom, alias: ast.alias, rest: Chain) -> None:
        """Reaches what an imported name stands for; what it stands for counts as it is written."""
        target = module.target(node, alias)
        if (followed := (module, node, alias, rest)) in self._followed:
            return  # modules that import each other
        self._followed.add(followed)
        self._used.setdefault(module, set()).add(f"{target} as {alias.asname or alias.name}")
        other = self._find(module.base(node)) if isinstance(node, ast.ImportFrom) else None
        binds = other is not None and other is not module and (alias.name in other.bindings or "*" in other.imports)
        if other is not None and binds:
            self._work.append(partial(self.name, other, (alias.name, *rest)))
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
            self._work.append(partial(self._whole, module))

    def _is_setting(self, module: CodeModule, index: int) -> bool:
        return module is self.experiment and bool(bound_names(module.statements[index]) & set(_SETTINGS))

    def _whole(self, module: CodeModule) -> None:
        for index, statement in enumerate(module.statements):
            if not is_import(statement) and not self._is_setting(module, index):
                self._count(module, index)
        for found in module.imports.values():
            for node, alias in found:
                text = f"{module.target(node, alias)} as {alias.asname or alias.name}"
                if text not in self._used.setdefault(module, set()):
                    self._follow(module, node, alias, ())
