"""What the names in a function are bound to, and how much of it was made there.

An object is new where it was made in the function, or was given to it; what is found by a name from outside is not.
What is new holds other objects, so it is followed how many layers are: one of `{"a": TABLE}`, two of `[[TABLE]]`.
"""

import ast
import builtins
from collections.abc import Callable, Iterable, Iterator

from cnn_jax.code.names import FUNCTIONS, Chain, Function, chain_of, is_config, signature
from cnn_jax.code.own_modules import find_own, find_spec

Target = Callable[[ast.Import | ast.ImportFrom, ast.alias], str]
Elsewhere = Callable[[str], "tuple[ast.stmt, Scope] | None"]

_ALL = 99  # layers: nothing of it is anyone else's
_VIEWS = {"items", "keys", "values"}
# Calls that give what there was before, by name or by what the full name begins with.
_FINDERS = {"__import__", "eval", "getattr", "globals", "locals", "max", "min", "next", "super", "vars"}
_FINDING = ("builtins.", "cnn_jax.", "functools.reduce", "gc.", "importlib.", "inspect.", "operator.", "sys.")


class Scope:
    """The names of a function, or of a module's top, and what they are bound to."""

    def __init__(
        self, body: Iterable[ast.AST], target: Target, elsewhere: Elsewhere, parent: "Scope | None" = None
    ) -> None:
        """Begins empty.

        Args:
          target: gives the full name of what an import binds.
          elsewhere: gives the statement, and the scope, where a module of one's own defines a full name.
        """
        self.nodes = list(_inside(body))
        self.parent, self._target, self._elsewhere = parent, target, elsewhere
        self._imports: dict[str, str] = {}
        self._bound: dict[str, list[tuple[ast.AST | None, int]]] = {}  # to what, and how many layers are taken off
        self._globals = {name for node in self.nodes if isinstance(node, ast.Global) for name in node.names}
        self._asked: set[str] = set()
        self._results: dict[tuple[ast.AST, int], int] = {}
        self._held: list[tuple[str, ast.AST, int]] = []
        for node in self.nodes:
            self._bind(node)
        for name, value, off in self._held:
            if name in self._bound:
                self._bound[name].append((value, off))

    def within(self, body: Iterable[ast.AST]) -> "Scope":
        """A scope in this one."""
        return Scope(body, self._target, self._elsewhere, self)

    def inner(self, function: Function, given: int = _ALL) -> "Scope":
        """The scope of a function that is defined in this one.

        Args:
          given: how many layers of its arguments are new.
        """
        scope = self.within(function.body if isinstance(function.body, list) else [function.body])
        for argument in ast.walk(function.args):
            if isinstance(argument, ast.arg):
                scope._bound.setdefault(argument.arg, []).append((None, given))
        arguments = function.args
        named = [*arguments.posonlyargs, *arguments.args]
        for argument, default in [
            *zip(reversed(named), reversed(arguments.defaults), strict=False),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]:
            if default is not None:
                scope._bound[argument.arg].append((None, self.layers(default)))
        return scope

    def layers(self, node: ast.AST) -> int:
        """How many layers of an expression's value are made here; 0 where it was there before."""
        match node:
            case ast.Name(id=name):
                return self._layers_of(name)
            case ast.Subscript(value=value, slice=ast.Slice()):
                return max(1, self.layers(value))
            case ast.Attribute(value=value) | ast.Subscript(value=value):
                return self.layers(value) - 1
            case ast.Starred(value=value) | ast.Await(value=value) | ast.NamedExpr(value=value):
                return self.layers(value)
            case ast.IfExp(body=body, orelse=orelse):
                return min(self.layers(body), self.layers(orelse))
            case ast.BoolOp(values=values):
                return min(map(self.layers, values))
            case ast.BinOp(left=left, right=right):
                return max(1, min(self.layers(left), self.layers(right)))
            case ast.List(elts=inside) | ast.Tuple(elts=inside) | ast.Set(elts=inside) | ast.Dict(values=inside):
                return 1 + min(map(self.layers, inside), default=_ALL)
            case ast.ListComp(elt=inside) | ast.SetComp(elt=inside) | ast.GeneratorExp(elt=inside):
                return 1 + self.layers(inside)
            case ast.DictComp(value=inside):
                return 1 + self.layers(inside)
            case ast.Call():
                return self._layers_of_call(node)
            case ast.Yield() | ast.YieldFrom():
                return 0
        return _ALL  # a constant, a comparison, a lambda

    def _layers_of(self, name: str) -> int:
        scope = self._scope_of(name)
        if scope is None:
            return _ALL if hasattr(builtins, name) else 0
        if scope.parent is None:
            return 0
        if name in scope._asked:  # bound to something of itself
            return _ALL
        scope._asked.add(name)
        try:
            return min(off if v is None else scope.layers(v) - off for v, off in scope._bound[name])
        finally:
            scope._asked.discard(name)

    def _layers_of_call(self, call: ast.Call) -> int:
        chain, keywords = chain_of(call.func), [self.layers(keyword.value) + 1 for keyword in call.keywords]
        given = min([*map(self.layers, call.args), *keywords], default=_ALL)
        full = self.full_name(chain)
        if full is not None:
            if found := self._elsewhere(full):
                return _layers_of_result(*found, given)
            finding = f"{full}.".startswith(_FINDING) or find_own(full.partition(".")[0]) is not None
            return 0 if finding and not is_config(full) else max(1, given)
        if isinstance(call.func, ast.Name):
            name = call.func.id
            scope = self._scope_of(name)
            if scope is None:
                return 0 if name in _FINDERS else max(1, given)
            return min(off if v is None else _layers_of_result(v, scope, given) for v, off in scope._bound[name])
        if isinstance(call.func, ast.Attribute):
            layers = self.layers(call.func.value)
            return max(1, layers) if call.func.attr == "copy" else layers - (call.func.attr not in _VIEWS)
        return 0

    def called(self, call: ast.Call) -> "tuple[ast.AST, Scope] | None":
        """The function of one's own that is called, and where it stands."""
        if full := self.full_name(chain_of(call.func)):
            return self._elsewhere(full)
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        scope = self._scope_of(name)
        values = [value for value, _ in scope._bound[name] if value is not None] if scope else []
        return (values[0], scope) if scope and len(values) == 1 else None

    def full_name(self, chain: Chain | None) -> str | None:
        """Of what is imported; None of all else."""
        scope = self._scope_of(chain[0]) if chain else None
        return (
            ".".join((scope._imports[chain[0]], *chain[1:])) if chain and scope and chain[0] in scope._imports else None
        )

    def is_module(self, node: ast.AST) -> bool:
        """Whether an expression names a module."""
        chain = chain_of(node)
        if full := self.full_name(chain):
            return find_spec(full) is not None
        scope = self._scope_of(chain[0]) if chain and len(chain) == 1 else None
        bound = [value for value, _ in scope._bound[chain[0]] if value is not None] if scope and chain else []
        return scope is not None and any(
            (full := scope.full_name(chain_of(value))) is not None and find_spec(full) is not None for value in bound
        )

    def is_builtin(self, name: str, names: set[str]) -> bool:
        """Whether it is one of the names, and nothing of the program."""
        return name in names and self._scope_of(name) is None

    def _scope_of(self, name: str) -> "Scope | None":
        scope: Scope | None = self
        while scope is not None and (name not in scope._bound or name in scope._globals):
            scope = scope.parent
        return scope

    def _bind(self, node: ast.AST) -> None:
        match node:
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    self._imports[name] = self._target(node, alias)
                    self._bound.setdefault(name, []).append((None, 0))
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._bind_to(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
                self._bind_to(target, value)
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                self._bind_to(node.target, node.iter, 1)
            case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
                self._bind_to(target, value)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._bound.setdefault(node.name, []).append((node, 0))
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                self._bound.setdefault(name, []).append((None, 0))
            case ast.ExceptHandler(name=str(name)):
                self._bound.setdefault(name, []).append((None, _ALL))

    def _bind_to(self, target: ast.AST, value: ast.AST, off: int = 0) -> None:
        match target:
            case ast.Name(id=name):
                self._bound.setdefault(name, []).append((value, off))
            case ast.Tuple(elts=elts) | ast.List(elts=elts):
                for part in elts:
                    self._bind_to(part, value, max(off, 1))
            case ast.Starred(value=part):
                self._bind_to(part, value, 0)
            case ast.Attribute() | ast.Subscript():
                while isinstance(target, (ast.Attribute, ast.Subscript)):
                    target, off = target.value, off - 1
                if isinstance(target, ast.Name):
                    self._held.append((target.id, value, off))  # it holds the value from now on


def _layers_of_result(node: ast.AST, scope: Scope, given: int) -> int:
    """How many layers of what a call gives are new, by what is called and where it stands."""
    if isinstance(node, ast.ClassDef):
        return 1 + given
    if not isinstance(node, FUNCTIONS):
        return 0
    if (node, given) not in scope._results:
        scope._results[node, given] = _ALL  # meanwhile, where it calls itself
        inner = scope.inner(node, given)
        returned = [n.value for n in inner.nodes if isinstance(n, ast.Return) and n.value is not None]
        returned += [node.body] if isinstance(node, ast.Lambda) else []
        yielded = [n.value for n in inner.nodes if isinstance(n, ast.Yield) and n.value is not None]
        layers = [*map(inner.layers, returned), *(1 + inner.layers(value) for value in yielded)]
        scope._results[node, given] = min(layers, default=_ALL)
    return scope._results[node, given]


def _inside(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The nodes of a scope, those of its classes and comprehensions too, but not what stands inside its functions."""
    left = list(body)
    while left:
        node = left.pop()
        yield node
        left += signature(node) if isinstance(node, FUNCTIONS) else ast.iter_child_nodes(node)
