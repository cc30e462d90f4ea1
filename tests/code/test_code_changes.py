"""What is taken for a patch, and what only builds a configuration."""

import itertools

import pytest

from cnn_jax.code.digest import own_code
from cnn_jax.config import neighbours

OWN = """
from cnn_jax import Config
def own(x):
    return x + 1
"""
HELPER = """
import cnn_jax.training.step as step
def install(f):
    step.losses = f
def put(m, f):
    m.losses = f
class I:
    def go(self, f):
        setattr(step, 'losses', f)
HOOKS = {}
def hook(f):
    HOOKS['a'] = f
def table(): return step.TABLE
def base(): return {'a': {'b': 1}}
"""

# Each puts `own` into the program in another way.
PATCHES = {
    "import_in_config": """
def config():
    import cnn_jax.training.step as step
    step.losses = own
    return Config()
""",
    "import_in_a_helper": """
def put():
    from cnn_jax.training import step
    step.losses = own
def config():
    put()
    return Config()
""",
    "local_alias": """
import cnn_jax.training.step
def config():
    step = cnn_jax.training.step
    step.losses = own
    return Config()
""",
    "alias_at_the_top": """
import cnn_jax.training.step
step = cnn_jax.training.step
def config():
    step.losses = own
    return Config()
""",
    "loop": """
import cnn_jax.training.step as step
def config():
    for m in [step]:
        m.losses = own
    return Config()
""",
    "unpacked": """
import cnn_jax.training.step as step
def config():
    a, m = 1, step
    m.losses = own
    return Config()
""",
    "given_by_a_function": """
import cnn_jax.training.step as step
def get(): return step
def config():
    m = get()
    m.losses = own
    return Config()
""",
    "vars": """
import cnn_jax.training.step as step
def config():
    vars(step)['losses'] = own
    return Config()
""",
    "update_of_its_dict": """
import cnn_jax.training.step as step
def config():
    step.__dict__.update(losses=own)
    return Config()
""",
    "held_by_a_dict": """
import cnn_jax.training.step as step
def config():
    d = {'m': step}
    d['m'].losses = own
    return Config()
""",
    "put_into_a_dict": """
import cnn_jax.training.step as step
def config():
    d = {}
    d['m'] = step
    d['m'].losses = own
    return Config()
""",
    "sys_modules": """
import sys
def config():
    sys.modules['cnn_jax.training.step'].losses = own
    return Config()
""",
    "import_module": """
import importlib
def config():
    m = importlib.import_module('cnn_jax.training.step')
    m.losses = own
    return Config()
""",
    "table_of_a_neighbour": """
import helper
def config():
    t = helper.table()
    t['x'] = own
    return Config()
""",
    "mock_by_text": """
import cnn_jax.training.step as step
from unittest import mock
def config():
    mock.patch('cnn_jax.training.step.losses', own).start()
    return Config()
""",
    "walrus": """
import cnn_jax.training.step as step
def config():
    if (m := step):
        m.losses = own
    return Config()
""",
    "nested": """
import cnn_jax.training.step as step
def config():
    def inner():
        step.losses = own
    inner()
    return Config()
""",
    "with": """
import cnn_jax.training.step as step
import contextlib
def config():
    with contextlib.nullcontext(step) as m:
        m.losses = own
    return Config()
""",
    "lambda": """
import cnn_jax.training.step as step
config = lambda: (setattr(step, 'losses', own), Config())[1]
""",
    "default_of_config": """
import cnn_jax.training.step as step
def config(_=setattr(step, 'losses', own)):
    return Config()
""",
    "class_attribute": """
import cnn_jax.training.step as step
class P: done = setattr(step, 'losses', own)
def config():
    return Config()
""",
    "class_in_a_class": """
import cnn_jax.training.step as step
class P:
    class Q:
        setattr(step, 'losses', own)
def config():
    return Config()
""",
    "class_body": """
import cnn_jax.training.step as step
class P:
    step.losses = own
def config():
    return Config()
""",
    "default_of_a_function": """
import cnn_jax.training.step as step
def f(x=setattr(step, 'losses', own)): pass
def config():
    return Config()
""",
    "helper_installs": """
import helper
def config():
    helper.install(own)
    return Config()
""",
    "method_installs": """
import helper
def config():
    helper.I().go(own)
    return Config()
""",
    "module_as_argument": """
import cnn_jax.training.step as step
import helper
def config():
    helper.put(step, own)
    return Config()
""",
    "alias_as_argument": """
import cnn_jax.training.step as step
import helper
def config():
    s = step
    helper.put(s, own)
    return Config()
""",
    "own_table": """
import helper
print(helper.HOOKS)
def config():
    helper.hook(own)
    return Config()
""",
    "helper_here": """
def put(f):
    import cnn_jax.training.step as step
    step.losses = f
def config():
    put(own)
    return Config()
""",
    "import_of_the_helper": """
def config():
    from helper import install
    install(own)
    return Config()
""",
    "helper_of_a_helper": """
from helper import install as go
def mid():
    go(own)
def config():
    mid()
    return Config()
""",
    "helper_by_another_name": """
import helper
def config():
    [f(own) for f in (helper.install,)]
    return Config()
""",
    "setattr_by_another_name": """
import cnn_jax.training.step as step
def config():
    f = setattr
    f(step, 'losses', own)
    return Config()
""",
    "default_argument": """
import cnn_jax.training.step as step
def config(m=step):
    m.losses = own
    return Config()
""",
    "partial_setattr": """
import cnn_jax.training.step as step
from functools import partial
def config():
    partial(setattr, step, 'losses')(own)
    return Config()
""",
    "class_as_argument": """
import cnn_jax.training.step as step
import helper
def config():
    helper.put(step.Session, own)
    return Config()
""",
    "class_as_argument_here": """
from cnn_jax.runs.session import Session
def put(owner, value, n=3):
    if n:
        put(owner, value, n - 1)
    owner.step = value
def config():
    put(Session, own)
    return Config()
""",
}

# Each defines `values`, which changes only what it made itself, or was given.
BUILDERS = {
    "nested_dicts": """
def values():
    d = {'a': {}}
    d['a']['b'] = 1
    d.update(c=3)
    rows = []
    rows.append(d)
    for r in rows:
        r['x'] = own(1)
    return d
""",
    "replace": """
import dataclasses
BASE = Config()
def values():
    c = dataclasses.replace(BASE, seed=own(3))
    d = dict(seed=3)
    d['x'] = c
    return d
""",
    "of_a_neighbour": """
import helper
def values():
    d = helper.base()
    d['a']['b'] = own(2)
    return d
""",
    "arrays": """
import numpy as np
def values():
    x = np.zeros(3)
    x[0] = own(1)
    y = np.append(x, 3)
    y[1] = 2
    return y.tolist()
""",
    "filled_by_a_function": """
def fill(d, k):
    d[k] = 1
    return d
def values():
    d = fill({}, own(1))
    d['y'] = 2
    return sorted(d.items())
""",
    "own_object": """
class Box:
    def __init__(self): self.x = own(1)
    def set(self, y):
        self.y = y
        return self
def values():
    b = Box()
    b.z = 3
    return b.set(3)
""",
    "json": """
import json, pathlib
def values():
    d = json.loads(pathlib.Path('x').read_text())
    d['a']['b'] = own(1)
    return d
""",
    "copies": """
DEF = {'a': 1}
def values():
    d = DEF.copy()
    d['b'] = own(1)
    e = {**DEF, 'c': 1}
    e['d'] = 1
    f = dict(DEF)
    f.update(e)
    return f
""",
    "library_objects": """
import collections, types, argparse
def values():
    d = collections.defaultdict(list)
    d['a'].append(own(1))
    n = types.SimpleNamespace(a=1)
    n.b = 2
    return d
""",
    "loops": """
def values():
    rows = [{'a': i} for i in range(3)]
    for i, row in enumerate(rows):
        row['b'] = own(i)
    for k, v in dict(a={}).items():
        v['x'] = 1
    return rows
""",
    "file": """
import json
def values():
    with open('x') as f:
        d = json.load(f)
    d['a'] = own(1)
    print(d)
    return d
""",
    "calls_itself": """
def values(n=3):
    return values(n - 1) if n else {}
def more():
    d = values()
    d['x'] = own(1)
    return d
""",
    "given_a_function": """
from cnn_jax import list_models
def fill(found, key):
    return {**found, key: own(1)}
def values():
    return fill({}, "a"), sorted(list_models(), key=len)
""",
    "reads_only": """
import os
def values():
    return os.environ.get('X', own(1))
class M:
    width: int = 3
    @property
    def w(self): return self.width
""",
}


@pytest.fixture
def digest(tmp_path):
    """Of an experiment with `helper.py` beside it; each call makes a folder of its own."""
    count = itertools.count()

    def of(source, helper):
        folder = tmp_path / str(next(count))
        folder.mkdir()
        (folder / "helper.py").write_text(helper)
        with neighbours(folder):
            return own_code(folder / "e.py", source.encode(), folder=folder).digest

    return of


@pytest.mark.parametrize("way", PATCHES)
def test_what_a_patch_puts_in_place_counts(digest, way):
    source = OWN + PATCHES[way]
    assert digest(source, HELPER) != digest(source.replace("x + 1", "x - 1"), HELPER) is not None


@pytest.mark.parametrize("way", BUILDERS)
def test_a_helper_that_builds_a_configuration_adds_nothing(digest, way):
    source = OWN + BUILDERS[way] + "def config():\n    return Config(seed=len(str(values())))\n"
    assert digest(source, "def base():\n    return {'a': {'b': 1}}\n") is None
