"""The examples in the docstrings of all modules give what stands below them."""

import doctest
import importlib
import pkgutil

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
