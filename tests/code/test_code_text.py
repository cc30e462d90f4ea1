"""The text of a statement does not depend on how it, or a release of Python, quotes."""

import ast
import sys

import pytest

from cnn_jax.code.text import WithoutQuotes, deep_trees


def text(source):
    return ast.unparse(WithoutQuotes().visit(ast.parse(source)))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("""f'{x} {"a"}'""", "('f-string', (x, -1, None), ' ', ('a', -1, None))"),
        ("""f"{x} {'a'}" ""  """, "('f-string', (x, -1, None), ' ', ('a', -1, None))"),
        ("f'a{{' 'b' f'{x!r}'", "('f-string', 'a{b', (x, 114, None))"),
        ("f'{x:>{width}.3f}'", "('f-string', (x, -1, ('f-string', '>', (width, -1, None), '.3f')))"),
        ("f'{x:}'", "('f-string', (x, -1, None))"),
        ("f'{x=}'", "('f-string', 'x=', (x, 114, None))"),
        ("""f'''{d["k"]} "' '''""", "('f-string', (d['k'], -1, None), ' \"\\' ')"),
        ("f''", "('f-string',)"),
    ],
)
def test_f_strings_are_written_as_their_parts(source, expected):
    assert text(source) == expected


@pytest.mark.skipif(sys.version_info < (3, 14), reason="t-strings came with Python 3.14")
def test_t_strings_are_written_as_their_parts():
    assert text("t'a{x!r:>3}'") == "('t-string', 'a', (x, 'x', 114, ('f-string', '>3')))"


def test_the_recursion_limit_is_put_back():
    before = sys.getrecursionlimit()
    with deep_trees():
        assert sys.getrecursionlimit() > before
    assert sys.getrecursionlimit() == before
