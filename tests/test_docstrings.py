"""The docstrings of all modules have one layout, and their examples give what stands below them."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import cnn_jax

# `__main__` would run the command line.
MODULES = [m.name for m in pkgutil.walk_packages(cnn_jax.__path__, "cnn_jax.") if not m.name.endswith("__main__")]


def test_the_examples_in_the_docstrings_hold():
    failures: list[str] = []
    runner, finder = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS), doctest.DocTestFinder(exclude_empty=True)
    for name in MODULES:
        for test in finder.find(importlib.import_module(name), name):
            runner.run(test, out=failures.append)
    assert not failures, "".join(failures)
    assert runner.tries >= 35


def test_what_a_section_holds_is_two_spaces_further_in():
    """Ruff's rules see to the rest of the layout, and leave this open."""
    for path in Path(cnn_jax.__file__).parent.rglob("*.py"):
        sections = re.findall(r"^( *)(?:Args|Attributes|Returns|Yields|Raises|Example):\n( *)", path.read_text(), re.M)
        assert all(len(inside) == len(outside) + 2 for outside, inside in sections), path
