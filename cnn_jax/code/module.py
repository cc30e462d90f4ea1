"""A file of one's own as statements: what they bind, and their text as it counts in the digest."""

import ast
import hashlib
from collections.abc import Iterable

from cnn_jax.code.names import bound_names, changed_names, same_scope, without_words
from cnn_jax.code.own_modules import OwnModule
from cnn_jax.code.text import WithoutQuotes

Import = tuple[ast.Import | ast.ImportFrom, ast.alias]


class CodeModule:
    """A module's statements, without their words, and what they bind."""

    def __init__(self, module: OwnModule) -> None:
        self.module = module
        try:
            tree = WithoutQuotes().visit(ast.parse(module.content))
            self.statements: list[ast.stmt] = without_words(tree).body
        except RecursionError as error:
            raise RecursionError(f"`{module.file}` nests an expression too deeply to be read") from error
        except (SyntaxError, ValueError):  # compiled, or broken: what it is, it is as a whole
            self.statements = ast.parse(f"print({hashlib.sha256(module.content).hexdigest()!r})").body
        self.imports = imports_of(node for statement in self.statements for node in same_scope(statement))
        self.bindings: dict[str, list[int]] = {}
        for index, statement in enumerate(self.statements):
            for name in bound_names(statement) | changed_names(statement, self.imports):
                self.bindings.setdefault(name, []).append(index)

    def text(self, index: int) -> str:
        """A statement as it counts."""
        try:
            return ast.unparse(self.statements[index])
        except RecursionError as error:
            raise RecursionError(f"`{self.module.file}` nests an expression too deeply to be read") from error

    def target(self, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
        """The full name of what an import binds."""
        if isinstance(node, ast.Import):
            return alias.name if alias.asname else alias.name.partition(".")[0]
        return f"{self.base(node)}.{alias.name}"

    def base(self, node: ast.ImportFrom) -> str:
        """The full name of the module after `from`."""
        above = self.module.package.split(".")[: 1 - node.level or None] if node.level else []
        return ".".join(part for part in (*above, node.module) if part)


def imports_of(nodes: Iterable[ast.AST]) -> dict[str, list[Import]]:
    """The imports among the nodes, by the name that each binds."""
    found: dict[str, list[Import]] = {}
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                found.setdefault(alias.asname or alias.name.partition(".")[0], []).append((node, alias))
    return found


def is_import(statement: ast.stmt) -> bool:
    """Whether a statement is one."""
    return isinstance(statement, (ast.Import, ast.ImportFrom))
