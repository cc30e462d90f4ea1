"""Names in Python's syntax trees: what a statement binds, what it uses, and whether it does more than define."""

import ast
from collections.abc import Iterator, Mapping

Chain = tuple[str, ...]
"""A name and the attributes behind it: `helper.losses.focal`."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_NOT_RUN = {"TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'"}

# Calls that only make a value, by full name or what it begins with: an assignment of one is a definition.
_MAKERS = (
    *("abc.", "collections.", "contextlib.", "copy.", "dataclasses.", "enum.", "fractions.", "functools."),
    *("itertools.", "math.", "operator.", "pathlib.", "re.compile", "string.", "typing."),
    *("flax.", "jax.jit", "jax.custom_", "jax.numpy.", "jax.nn.", "jaxtyping.", "numpy.", "optax."),
)
_BUILTINS = {
    *("abs", "bool", "bytes", "classmethod", "dict", "enumerate", "float", "frozenset", "int", "len", "list", "max"),
    *("min", "pow", "property", "range", "reversed", "round", "set", "slice", "sorted", "staticmethod", "str", "sum"),
    *("tuple", "type", "zip"),
}


def without_words(tree: ast.Module) -> ast.Module:
    """The tree without docstrings and other lone constants, and without what does not run when a file is loaded."""
    found: ast.Module = _WithoutWords().visit(tree)
    return found


class _WithoutWords(ast.NodeTransformer):
    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == [] and not isinstance(node, ast.Module):
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test) in _NOT_RUN else node


def same_scope(node: ast.AST) -> Iterator[ast.AST]:
    """The node and those below it, but not inside functions, classes and comprehensions."""
    yield node
    if not isinstance(node, (*_FUNCTIONS, ast.ClassDef, *_COMPREHENSIONS)):
        for child in ast.iter_child_nodes(node):
            yield from same_scope(child)


def bound_names(node: ast.AST, *, imports: bool = True) -> set[str]:
    """The names that a statement binds in the scope where it stands, or in its module by `global`."""
    names = {name for inner in ast.walk(node) if isinstance(inner, ast.Global) for name in inner.names}
    for inner in same_scope(node):
        if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
            names.add(inner.id)
        elif isinstance(inner, ast.alias):
            names |= {inner.asname or inner.name.partition(".")[0]} if imports else set()
        elif isinstance(name := getattr(inner, "name", None), str):  # functions, classes, exceptions, patterns
            names.add(name)
    return names


def references(node: ast.AST) -> Iterator[Chain]:
    """The names that a statement uses and does not bind itself, each with the attributes behind it."""
    return (chain for chain, _ in _uses(node, frozenset()))


def changed_names(node: ast.AST) -> set[str]:
    """The names among them of which an attribute or an item is set, as a patch does: `module.function = own`."""
    return {chain[0] for chain, is_set in _uses(node, frozenset()) if is_set}


def _uses(node: ast.AST, bound: frozenset[str]) -> Iterator[tuple[Chain, bool]]:
    """Chains of names that are not bound, and whether something of them is set."""
    if chain := _chain(node):
        if chain[0] not in bound:
            yield chain, isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
        return
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        yield from ((chain, True) for chain, _ in _uses(node.value, bound))
    if isinstance(node, ast.Call) and _chain(node.func) in (("setattr",), ("delattr",)):
        yield from ((chain, True) for part in node.args[:1] for chain, _ in _uses(part, bound))
    if isinstance(node, _FUNCTIONS):
        outside, inside = _signature(node), node.body if isinstance(node.body, list) else [node.body]
        for part in outside:
            yield from _uses(part, bound)
        bound |= {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
        bound |= {name for part in inside for name in bound_names(part, imports=False)}
        bound -= {name for part in inside for n in ast.walk(part) if isinstance(n, ast.Global) for name in n.names}
        for part in inside:
            yield from _uses(part, bound)
        return
    if isinstance(node, _COMPREHENSIONS):
        bound |= {name for generator in node.generators for name in bound_names(generator.target)}
    for child in ast.iter_child_nodes(node):
        yield from _uses(child, bound)


def _chain(node: ast.AST) -> Chain | None:
    if isinstance(node, ast.Name):
        return (node.id,) if isinstance(node.ctx, ast.Load) else None
    if isinstance(node, ast.Attribute) and (before := _chain(node.value)):
        return (*before, node.attr)
    return None


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[ast.AST]:
    """What of a function is worked out where it is defined: decorators, defaults and types."""
    parts: list[ast.AST] = [node.args]
    if not isinstance(node, ast.Lambda):
        parts += [*node.decorator_list, *filter(None, [node.returns])]
    return parts


def is_definition(node: ast.stmt, targets: Mapping[str, str]) -> bool:
    """Whether a statement does nothing but bind names: an import, a function, a class, a constant.

    A function that sets attributes of what the file imports is taken for a patch: somebody may call it.

    Args:
      targets: the full names of what the file imports, by the names that it gives them.
    """

    def only_makes(expression: ast.AST | None) -> bool:
        if expression is None or isinstance(expression, ast.Lambda):
            return True
        if isinstance(expression, (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)):
            return False
        if isinstance(expression, ast.Call) and not is_maker(expression.func):
            return False
        return all(only_makes(child) for child in ast.iter_child_nodes(expression))

    def is_maker(called: ast.AST) -> bool:
        chain = _chain(called)
        if chain is None:
            return False
        if chain[0] not in targets:
            return len(chain) == 1 and chain[0] in _BUILTINS
        name = ".".join((targets[chain[0]], *chain[1:]))
        setting = name.startswith("cnn_jax.") and name.endswith(("Config", ".ModelOptions"))
        return setting or f"{name}.".startswith(_MAKERS)

    def plain(decorators: list[ast.expr]) -> bool:
        return all(only_makes(d) and (isinstance(d, ast.Call) or is_maker(d)) for d in decorators)

    match node:
        case ast.Import() | ast.ImportFrom() | ast.Pass() | ast.TypeAlias():
            return True
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return plain(node.decorator_list) and not changed_names(node) & targets.keys()
        case ast.ClassDef():
            inside = (part for part in node.body if not isinstance(part, (ast.Assign, ast.AnnAssign)))
            return plain(node.decorator_list) and all(is_definition(part, targets) for part in inside)
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            places = node.targets if isinstance(node, ast.Assign) else [node.target]
            kinds = (ast.Name, ast.Tuple, ast.List, ast.Starred, ast.Store)
            named = all(isinstance(part, kinds) for place in places for part in ast.walk(place))
            return named and only_makes(node.value)
        case ast.If() | ast.Try():
            blocks = [node.body, node.orelse, *([node.finalbody] if isinstance(node, ast.Try) else [])]
            blocks += [handler.body for handler in node.handlers] if isinstance(node, ast.Try) else []
            test = node.test if isinstance(node, ast.If) else None
            return only_makes(test) and all(is_definition(part, targets) for block in blocks for part in block)
    return False
