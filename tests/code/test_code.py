"""The digest of one's own code: what counts, across files, and what does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from cnn_jax.code.digest import own_code
from cnn_jax.code.own_modules import find_own
from cnn_jax.config import load_experiment, neighbours

EXPERIMENT = """
import math
import cnn_jax.runs.session as session
from cnn_jax import Config, OptimConfig
import helper

STEPS = 3
RATES = [10**-k for k in range(3)]
BASE = OptimConfig("sgd", learning_rate=RATES[1])

def factor():
    return 2

def settings():
    return 4

class Own:
    \"\"\"An optimiser.\"\"\"
    scale = 3

def own(config, derived):
    # a comment
    return Own().scale * factor() + helper.inner(1)

def ablation():
    return {"a": settings()}

def config():
    return Config(seed=settings() * STEPS, optim=BASE)

session.make_optimizer = own
"""
HELPER = """
from deep import CONSTANT

def inner(x):
    \"\"\"Words.\"\"\"
    return x + CONSTANT

def unused():
    return 7
"""
DEEP = "CONSTANT = 5\nOTHER = 6\n"


@pytest.fixture
def digest(tmp_path):
    """What counts of an experiment and the files beside it; each call makes a folder of its own."""
    count = iter(range(1000))

    def of(source=EXPERIMENT, name="experiment.py", loaded=(), parts=(), **files):
        folder = tmp_path / str(next(count))
        for file, text in {"helper": HELPER, "deep": DEEP, **files}.items():
            path = folder / (f"{file}.py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (folder / name).write_text(source)
        with neighbours(folder):
            return own_code(folder / name, source.encode(), folder=folder, parts=parts, loaded=loaded)

    return of


def test_a_patch_counts_with_all_that_it_reaches(digest):
    assert [file.name for file in digest().files] == ["experiment.py", "deep.py", "helper.py"]
    assert digest().digest == digest().digest is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* factor()", "+ factor()"),
        ("return 2", "return 3"),
        ("scale = 3", "scale = 4"),
        ("session.make_optimizer = own", "session.make_schedule = own"),
        ("import cnn_jax.runs.session as session", "import cnn_jax.runs.loop as session"),
        ("x + CONSTANT", "x - CONSTANT"),
        ("CONSTANT = 5", "CONSTANT = 8"),
    ],
)
def test_what_is_reached_counts(digest, old, new):
    changed = [text.replace(old, new) for text in (EXPERIMENT, HELPER, DEEP)]
    assert changed != [EXPERIMENT, HELPER, DEEP]
    assert digest(changed[0], helper=changed[1], deep=changed[2]).digest != digest().digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another"),
        ('"""An optimiser."""', '"""Lion."""'),
        ('    """Words."""\n', ""),
        ("return 4", "return 5"),
        ("STEPS = 3", "STEPS = 30"),
        ("10**-k", "2**-k"),
        ('("sgd", ', '("adamw", '),
        ('{"a": settings()}', "{}"),
        ("return 7", "return 8"),
        ("OTHER = 6", "OTHER = 7"),
        ("import math\n", ""),
        ("return Own()", "return (Own())"),
    ],
)
def test_words_and_what_serves_config_alone_do_not_count(digest, old, new):
    changed = [text.replace(old, new) for text in (EXPERIMENT, HELPER, DEEP)]
    assert changed != [EXPERIMENT, HELPER, DEEP]
    assert digest(changed[0], helper=changed[1], deep=changed[2]).digest == digest().digest


def test_neither_the_place_nor_the_name_of_the_experiment_counts(digest):
    assert digest(name="other.py").digest == digest().digest


def test_a_file_of_imports_and_config_adds_nothing(digest):
    source = "from cnn_jax import Config\nimport helper\ndef config():\n    return Config(seed=helper.unused())\n"
    assert digest(source).digest is None
    assert digest(source).record() is None


def test_every_recipe_of_the_project_adds_nothing():
    for path in sorted((Path(__file__).parents[2] / "experiments").glob("*.py")):
        if path.stem == "own_loop":
            continue  # no experiment, but a program
        assert own_code(path, path.read_bytes(), folder=path.parent).digest is None, path.name


def test_a_named_part_counts_as_a_patch_does(digest):
    source = "def own(): return 1\ndef config(): return own()\n"
    assert digest(source).digest is None
    assert digest(source, parts=("own",)).digest != digest(source.replace("1", "2"), parts=("own",)).digest


PATCH = "import cnn_jax.runs.session as session\n"
OTHER = "from helper import inner\ndef register(f): session.x = f\n"


@pytest.mark.parametrize(
    ("source", "files"),
    [
        ("from helper import inner as f\nsession.x = f\n", {}),
        ("from helper import *\nsession.x = inner\n", {}),
        ("import helper as h\nsession.x = lambda: h.inner(1)\n", {}),
        ("import helper\nsession.x = getattr(helper, 'in' + 'ner')\n", {}),
        ("import helper\nsession.x = helper\n", {}),
        ("def own():\n    from helper import inner\n    return inner(1)\nsession.x = own\n", {}),
        ("def own():\n    import helper\n    return helper.inner(1)\nsession.x = own\n", {}),
        ("import importlib\nh = importlib.import_module('helper')\nsession.x = h.inner\n", {}),
        ("try:\n    import helper\nexcept ImportError:\n    helper = None\nsession.x = helper.inner\n", {}),
        ("import package.part\nsession.x = package.part.again\n", {}),
        ("from package import part\nsession.x = part.again\n", {}),
        ("from package import again\nsession.x = again\n", {"package/__init__": "from .part import again\n"}),
        ("import patching\n", {"patching": PATCH + "from helper import inner\nsession.x = inner\n"}),
        ("class A:\n    f = staticmethod(__import__('helper').inner)\nsession.x = A\n", {}),
        ("from other import register, inner\n@register\ndef own(): return inner(1)\n", {"other": OTHER}),
    ],
    ids=["from", "star", "as", "getattr", "whole", "inside_from", "inside", "by_name", "try", "dotted", "submodule",
         "reexport", "in_a_neighbour", "in_a_class", "decorator"],
)  # fmt: skip
def test_every_way_to_import_is_followed(digest, source, files):
    files = {
        "package/__init__": "",
        "package/part": "from helper import inner\ndef again(): return inner(2)\n",
        **files,
    }
    changed = HELPER.replace("x + CONSTANT", "x * CONSTANT")
    before = digest(PATCH + source, **files)
    assert "helper.py" in [file.name for file in before.files]
    assert digest(PATCH + source, **files, helper=changed).digest != before.digest
    assert digest(PATCH + source, **files, helper=HELPER.replace("Words", "Other words")).digest == before.digest


@pytest.mark.parametrize(
    "source",
    [
        "def config():\n    session.x = own\n    return 1\n",
        "def config():\n    setattr(session, 'x', own)\n    return 1\n",
        "def put():\n    session.TABLE['x'] = own\ndef config():\n    put()\n    return 1\n",
        "RATES = {}\ndef use():\n    return RATES\ndef config():\n    RATES['a'] = own\nsession.x = use\n",
        "RATE = None\ndef use():\n    return RATE\ndef config():\n    global RATE\n    RATE = own\nsession.x = use\n",
    ],
)
def test_a_patch_that_config_makes_counts(digest, source):
    source = PATCH + "def own(): return 1 + 1\n" + source
    assert digest(source).digest != digest(source.replace("1 + 1", "1 - 1")).digest is not None


def test_what_config_imports_is_run(digest):
    source = "def config():\n    import patching\n    return 1\n"
    patching = PATCH + "session.x = {}\n"
    found = [digest(source, patching=patching.format(x)).digest for x in (1, 2)]
    assert found[0] != found[1] is not None
    assert digest(source, patching="def f(): return 1\n").digest is None


def test_a_local_name_reaches_nothing(digest):
    source = (
        PATCH
        + "def config(): return 1\ndef own(config, helper): return [inner for inner in config.x]\nsession.x = own\n"
    )
    assert digest(source).digest == digest(source.replace("return 1", "return 2")).digest


def test_modules_may_import_each_other(digest):
    files = {
        "pkg/__init__": "from . import mod\nfrom .mod import f\n",
        "pkg/mod": "from pkg import other, g\ndef f(): return other.g() + g()\n",
        "pkg/around": "from .other import *\n",
        "pkg/other": "from .around import *\nfrom .mod import f as back\nfrom . import *\ndef g(): return back\n",
    }
    found = digest(PATCH + "import pkg\nsession.x = pkg.mod.f\n", **files)
    assert [file.name for file in found.files] == ["experiment.py", "pkg/mod.py", "pkg/other.py"]


def test_what_runs_only_as_a_script_does_not_count(digest):
    source = "import typing\nif __name__ == '__main__':\n    print(1)\nif typing.TYPE_CHECKING:\n    import helper\n"
    assert digest(source).digest is None


def test_modules_loaded_by_computed_names_count_whole(digest):
    source = PATCH + "import importlib\nsession.x = importlib.import_module('help' + 'er').inner\n"
    names = [file.name for file in digest(source, loaded=("helper", "deep")).files]
    assert names == ["experiment.py", "deep.py", "helper.py"]
    quiet = "import importlib\ndef config(): return importlib.import_module('help' + 'er')\n"
    assert digest(quiet, loaded=("helper",)).digest is None


def test_a_module_that_cannot_be_read_counts_as_it_is(digest):
    source = PATCH + "def own():\n    import broken\n    return broken.f\nsession.x = own\n"
    assert digest(source, broken="def f(:\n").digest != digest(source, broken="def g(:\n").digest


def installed(entry, name, text, *, recorded):
    entry.mkdir(exist_ok=True)
    (entry / f"{name}.py").write_text(text)
    info = entry / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{name}.py,sha256=x,1\n" if recorded else f"__editable__.{name}.pth,,\n")


@pytest.mark.parametrize("recorded", [True, False], ids=["installed", "editable"])
def test_what_a_distribution_lists_as_its_file_is_not_ones_own(tmp_path, monkeypatch, recorded):
    name = f"identity_test_{'installed' if recorded else 'editable'}"
    installed(tmp_path / "site", name, "f = 1\n", recorded=recorded)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert (find_own(name) is None) == recorded


@pytest.mark.parametrize("name", ["json", "optax", "numpy", "cnn_jax.config", "sys", "no_such_module", "json.nothing"])
def test_the_library_and_installed_packages_are_not_ones_own(name):
    assert find_own(name) is None


def test_the_code_is_found_without_running_it(tmp_path):
    (tmp_path / "bomb.py").write_text("raise SystemExit('it ran')\n")
    with neighbours(tmp_path):
        assert own_code(tmp_path / "e.py", b"import bomb\nprint(bomb.x)\n", folder=tmp_path).digest is not None
    assert "bomb" not in sys.modules


def test_other_pythons_give_the_same_digest(tmp_path):
    """The expected digest is written down: it must never change, on any version of Python."""
    # As it was written when the digest was: what an import names counts.
    source = (
        EXPERIMENT.replace("cnn_jax.runs.session", "cnn_jax.training.session")
        + "\nprint(f'{own!r:>{10}} {\"a\"}', *[i for i in x], sep='', end=\"\\n\")\n"
    )
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "deep.py").write_text(DEEP)
    with neighbours(tmp_path):
        code = own_code(tmp_path / "e.py", source.encode(), folder=tmp_path)
    assert code.digest == "4cd941906f9562975e386da61e906186be00703b146773757109f9d6f0fe1904"


def test_a_chain_of_functions_may_have_any_length(digest):
    chain = "".join(f"def f{i}():\n    return f{i + 1}()\n" for i in range(500)) + "def f500():\n    return 1\n"
    source = PATCH + chain + "session.x = f0\n"
    assert digest(source).digest != digest(source.replace("return 1\n", "return 2\n")).digest


def test_a_chain_of_modules_may_have_any_length(digest):
    chain = {f"m{i}": f"from m{i + 1} import f\n" for i in range(300)} | {"m300": "def f():\n    return 1\n"}
    source = PATCH + "from m0 import f\nsession.x = f\n"
    other = chain | {"m300": "def f():\n    return 2\n"}
    assert digest(source, **chain).digest != digest(source, **other).digest


def test_a_sum_of_many_terms_is_read(digest):
    source = "print(" + " + ".join(["1.0"] * 1000) + ")\n"
    assert digest(source).digest != digest(source.replace("1.0)", "2.0)")).digest


def test_own_code_is_loaded_with_the_experiment(tmp_path):
    (tmp_path / "e.py").write_text(EXPERIMENT.replace("session.make_optimizer = own", "print(own)"))
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "deep.py").write_text(DEEP)
    code = load_experiment(tmp_path / "e.py").code
    assert code.record()["digest"] == code.digest
    assert code.record()["files"].keys() == {"e.py", "helper.py", "deep.py"}


def test_the_digest_does_not_depend_on_the_hash_seed(tmp_path):
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "deep.py").write_text(DEEP)
    (tmp_path / "e.py").write_text(EXPERIMENT)
    program = "import sys, pathlib; sys.path.insert(0, sys.argv[1]); from cnn_jax.code.digest import own_code; "
    program += "p = pathlib.Path(sys.argv[1]) / 'e.py'; print(own_code(p, p.read_bytes(), folder=p.parent).digest)"
    found = {
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "12"
    }
    assert len(found) == 1
