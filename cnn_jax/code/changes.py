"""Whether a function changes what it did not make itself, as a patch does: `module.function = own`.

A set attribute or item, `setattr`, and methods such as `update` change the object that they are called on.
"""

import ast
from collections.abc import Iterator

from cnn_jax.code.names import FUNCTIONS, MUTATORS, Function, chain_of, is_config
from cnn_jax.code.scope import Scope

_SETTERS = {("setattr",), ("delattr",), ("object", "__setattr__"), ("type", "__setattr__"), ("object", "__delattr__")}
_LOOKS = {"dir", "getattr", "hasattr", "id", "isinstance", "print", "repr", "str", "type", "vars"}


def changes(scope: Scope, called_from: frozenset[ast.AST] = frozenset()) -> bool:
    """Whether something in a scope, or in a function inside, changes what was not made there.

    Args:
      called_from: functions that are looked into on the way here.
    """
    called = {id(node.func) for node in scope.nodes if isinstance(node, ast.Call)}
    for node in scope.nodes:
        match node:
            case ast.Attribute() | ast.Subscript() if not isinstance(node.ctx, ast.Load):
                changed = scope.layers(node.value) < 1
            case ast.AugAssign(target=ast.Name() as target, value=ast.List() | ast.Dict() | ast.Set()):
                changed = scope.layers(target) < 1
            case ast.Name(id=name, ctx=ast.Load()):
                changed = scope.is_builtin(name, {"exec", "eval"} | ({"setattr"} if id(node) not in called else set()))
            case ast.Call():
                changed = _call_changes(scope, node, called_from)
            case ast.Expr(value=ast.Call(func=func)):
                changed = (scope.full_name(chain_of(func)) or "").startswith("cnn_jax.")
            case ast.Global():
                changed = True
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                changed = changes(scope.inner(node), called_from)
            case _:
                changed = False
        if changed:
            return True
    return False


def _call_changes(scope: Scope, call: ast.Call, called_from: frozenset[ast.AST]) -> bool:
    chain = chain_of(call.func)
    if (scope.full_name(chain) or "").startswith("unittest.mock"):
        return True
    if chain in _SETTERS and scope.is_builtin(chain[0], {chain[0]}):
        return scope.layers(call.args[0]) < 1 if call.args else True
    holder = call.func.value if isinstance(call.func, ast.Attribute) and call.func.attr in MUTATORS else None
    if holder is not None and not scope.is_module(holder) and scope.layers(holder) < 1:
        return True
    if chain and scope.is_builtin(chain[0], _LOOKS):
        return False
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    if any(scope.is_module(argument) for argument in arguments):  # what is called may change it
        return True
    names = [scope.full_name(chain_of(argument)) or "" for argument in arguments]
    found = scope.called(call) if any(n.startswith("cnn_jax.") and not is_config(n) for n in names) else None
    function, outside = found or (None, scope)
    if not isinstance(function, FUNCTIONS) or function in called_from:
        return False
    return changes(outside.inner(function, given=0), called_from | {function})


def functions_in(node: ast.AST) -> Iterator[Function]:
    """The functions in a statement, but not those inside them."""
    left = [node]
    while left:
        node = left.pop()
        if isinstance(node, FUNCTIONS):
            yield node
        else:
            left += ast.iter_child_nodes(node)
