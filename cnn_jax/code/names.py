"""Names in Python's syntax trees: what a statement binds, what it uses, and whether it does more than define."""

import ast
from collections.abc import Callable, Iterator, Mapping

Chain = tuple[str, ...]
"""A name and the attributes behind it: `helper.losses.focal`."""

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
MUTATORS = {
    *("add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "reverse"),
    *("setdefault", "sort", "update", "__delattr__", "__delitem__", "__setattr__", "__setitem__"),
}
"""Methods that change the object that they are called on."""

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
    left = [node]
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef, *_COMPREHENSIONS)):
            left += ast.iter_child_nodes(node)


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
    return (chain for chain, _ in _uses(node))


def changed_names(node: ast.AST, imports: Mapping[str, object]) -> set[str]:
    """The names among them of which something is set, as a patch does: `module.function = own`, `TABLE.update(x=own)`.

    Args:
      imports: what the file imports, of which a method such as `numpy.append` may be a plain function.
    """
    return {chain[0] for chain, how in _uses(node) if how == "set" or (how == "method" and chain[0] not in imports)}


def _uses(node: ast.AST) -> Iterator[tuple[Chain, str]]:
    """Chains of names that are not bound, and how: something of them is "set", or may be by a "method"."""
    left: list[tuple[ast.AST, frozenset[str], str]] = [(node, frozenset(), "")]
    while left:
        node, bound, how = left.pop()
        if chain := chain_of(node):
            if chain[0] not in bound:
                is_set = isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
                yield chain, "set" if is_set else how
            continue
        match node:
            case ast.Attribute() | ast.Subscript() if not isinstance(node.ctx, ast.Load):
                left.append((node.value, bound, "set"))
                left += [(node.slice, bound, how)] if isinstance(node, ast.Subscript) else []
                continue
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[changed, *_]):
                left += [(changed, bound, "set"), *((part, bound, how) for part in [*node.args[1:], *node.keywords])]
                continue
            case ast.Call(func=ast.Attribute(value=changed, attr=method)) if method in MUTATORS:
                left += [
                    (changed, bound, how or "method"),
                    *((part, bound, how) for part in [*node.args, *node.keywords]),
                ]
                continue
        if isinstance(node, FUNCTIONS):
            inside = node.body if isinstance(node.body, list) else [node.body]
            left += [(part, bound, "") for part in signature(node)]
            bound |= {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
            bound |= {name for part in inside for name in bound_names(part, imports=False)}
            bound -= {name for part in inside for n in ast.walk(part) if isinstance(n, ast.Global) for name in n.names}
            left += [(part, bound, "") for part in inside]
            continue
        if isinstance(node, _COMPREHENSIONS):
            bound |= {name for generator in node.generators for name in bound_names(generator.target)}
        left += [(child, bound, how) for child in ast.iter_child_nodes(node)]


def chain_of(node: ast.AST) -> Chain | None:
    """`helper.losses.focal`, where an expression is a name and attributes; None of any other."""
    if isinstance(node, ast.Name):
        return (node.id,) if isinstance(node.ctx, ast.Load) else None
    if isinstance(node, ast.Attribute) and (before := chain_of(node.value)):
        return (*before, node.attr)
    return None


def signature(node: Function) -> list[ast.AST]:
    """What of a function is worked out where it is defined: decorators, defaults and types."""
    parts: list[ast.AST] = [node.args]
    if not isinstance(node, ast.Lambda):
        parts += [*node.decorator_list, *filter(None, [node.returns])]
    return parts


def is_config(name: str) -> bool:
    """Whether a full name is that of a part of the configuration."""
    return name.startswith("cnn_jax.") and name.endswith("Config")


def is_definition(node: ast.stmt, targets: Mapping[str, str], patches: Callable[[Function], bool]) -> bool:
    """Whether a statement does nothing but bind names: an import, a function, a class, a constant.

    A function that changes what it did not make is taken for a patch: somebody may call it.

    Args:
      targets: the full names of what the file imports, by the names that it gives them.
      patches: whether a function does so.
    """

    def only_makes(*expressions: ast.AST | None) -> bool:
        left = list(expressions)
        while left:
            match expression := left.pop():
                case None:
                    continue
                case ast.Lambda():
                    if patches(expression):
                        return False
                    left.append(expression.args)
                    continue
                case ast.Await() | ast.Yield() | ast.YieldFrom() | ast.NamedExpr():
                    return False
                case ast.Call(func=called) if not is_maker(called):
                    return False
            left += ast.iter_child_nodes(expression)
        return True

    def is_maker(called: ast.AST) -> bool:
        chain = chain_of(called)
        if chain is None:
            return False
        if chain[0] not in targets:
            return len(chain) == 1 and chain[0] in _BUILTINS
        name = ".".join((targets[chain[0]], *chain[1:]))
        return is_config(name) or f"{name}.".startswith(_MAKERS)

    def plain(decorators: list[ast.expr]) -> bool:
        return all(only_makes(d) and (isinstance(d, ast.Call) or is_maker(d)) for d in decorators)

    def all_define(statements: list[ast.stmt]) -> bool:
        return all(is_definition(part, targets, patches) for part in statements)

    match node:
        case ast.Import() | ast.ImportFrom() | ast.Pass() | ast.TypeAlias():
            return True
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return plain(node.decorator_list) and only_makes(node.args, node.returns) and not patches(node)
        case ast.ClassDef():
            return plain(node.decorator_list) and only_makes(*node.bases, *node.keywords) and all_define(node.body)
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            places = node.targets if isinstance(node, ast.Assign) else [node.target]
            kinds = (ast.Name, ast.Tuple, ast.List, ast.Starred, ast.Store)
            named = all(isinstance(part, kinds) for place in places for part in ast.walk(place))
            return named and only_makes(node.value)
        case ast.If() | ast.Try():
            blocks = [node.body, node.orelse, *([node.finalbody] if isinstance(node, ast.Try) else [])]
            blocks += [handler.body for handler in node.handlers] if isinstance(node, ast.Try) else []
            return only_makes(node.test if isinstance(node, ast.If) else None) and all(map(all_define, blocks))
    return False
