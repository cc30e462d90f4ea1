"""A statement as text that is the same in every release of Python."""

import ast
import contextlib
import sys
from collections.abc import Iterator

_FRAMES = 50_000  # of Python, which live on the heap: a sum of thousands of terms is a tree of that depth


@contextlib.contextmanager
def deep_trees() -> Iterator[None]:
    """Walks by recursion get through the deepest trees that Python itself can read."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class WithoutQuotes(ast.NodeTransformer):
    """Writes f-strings and t-strings as tuples of their parts: how `ast.unparse` quotes them differs by release.

    Example:
      >>> ast.unparse(WithoutQuotes().visit(ast.parse("f'a{b!r:>{c}}'")))
      "('f-string', 'a', (b, 114, ('f-string', '>', (c, -1, None))))"
    """

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Tuple:
        return self._parts("f-string", node.values)

    def visit_TemplateStr(self, node: ast.AST) -> ast.Tuple:
        return self._parts("t-string", node.values)  # type: ignore[attr-defined]

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.Tuple:
        return _tuple(self.visit(node.value), ast.Constant(node.conversion), self._format(node.format_spec))

    def visit_Interpolation(self, node: ast.AST) -> ast.Tuple:
        value, conversion = self.visit(node.value), ast.Constant(node.conversion)  # type: ignore[attr-defined]
        text = ast.Constant(node.str)  # type: ignore[attr-defined]  # a template shows how it was written
        return _tuple(value, text, conversion, self._format(node.format_spec))  # type: ignore[attr-defined]

    def _format(self, node: ast.expr | None) -> ast.expr:
        return ast.Constant(None) if node is None or not getattr(node, "values", True) else self.visit(node)

    def _parts(self, kind: str, values: list[ast.expr]) -> ast.Tuple:
        """Constants that stand side by side are one, and empty ones none."""
        parts: list[ast.expr] = []
        for value in values:
            if not isinstance(value, ast.Constant):
                parts.append(self.visit(value))
            elif parts and isinstance(parts[-1], ast.Constant):
                parts[-1] = ast.Constant(str(parts[-1].value) + str(value.value))
            elif value.value:
                parts.append(ast.Constant(value.value))
        return _tuple(ast.Constant(kind), *parts)


def _tuple(*parts: ast.expr) -> ast.Tuple:
    return ast.Tuple(list(parts), ast.Load())
