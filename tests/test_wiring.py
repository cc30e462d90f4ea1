"""Every key of the configuration has its effect: `wiring_rows` says by what it shows, a key without a row fails.

A setting that is read nowhere, multiplied by zero or dropped on the way passes every test of the part that it is
meant for. So each row changes one key of an experiment and looks at what comes out at the other end.
"""

import hashlib

import jax
import numpy as np
import pytest
from PIL import Image
from wiring_looks import forget
from wiring_rows import ROWS, Changes, Close

from cnn_jax.config import Config, flatten, from_flat
from cnn_jax.config.reference import OPTIMIZERS
from cnn_jax.data import take_subset
from cnn_jax.models import MODELS, abstract_variables, create_model
from cnn_jax.models.googlenet import GoogLeNet
from cnn_jax.modules import preactivation, residual
from cnn_jax.modules.dropout import DropPath
from cnn_jax.runs import splits
from cnn_jax.weights import save_weights

# Of the largest number of an array. Two float32 programs of the same meaning differ by 1e-6 after two steps.
VISIBLE = 1e-4
OPTIONS = {f"model.options.{name}" for entry in MODELS.values() for name in entry.options}
# Of an optimiser's arguments, those of ours.
ARGUMENTS = {f"optim.arguments.{name}" for arguments in OPTIMIZERS.values() for name in arguments}
KEYS = [*flatten(Config()), *sorted(OPTIONS | ARGUMENTS)]


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A folder with the weights and images that rows name, and the checksum of one.safetensors."""
    folder = tmp_path_factory.mktemp("wiring")
    (folder / "moved").mkdir()
    random, model = np.random.default_rng(0), create_model("lenet5", 10)
    for name in ("one", "other"):
        variables = jax.tree.map(
            lambda leaf: random.uniform(0.5, 1, leaf.shape).astype(np.float32), abstract_variables(model, (28, 28, 1))
        )
        save_weights(folder / f"{name}.safetensors", model, variables)
    (folder / "moved" / "one.safetensors").write_bytes((folder / "one.safetensors").read_bytes())
    for name in ("three", "four", "moved/three", "damaged"):
        pixels = np.random.default_rng(4 if name == "four" else 3)
        for split, count in (("train", 12), ("test", 2)):
            for kind in ("cat", "dog"):
                place = folder / name / split / kind
                place.mkdir(parents=True)
                for number in range(count):
                    image = pixels.integers(0, 256, (8, 8, 3), np.uint8)
                    Image.fromarray(image).save(place / f"{number}.png")
    (folder / "damaged" / "train" / "cat" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    sha256 = hashlib.sha256((folder / "one.safetensors").read_bytes()).hexdigest()
    return {"files": str(folder), "sha256": sha256}


def configurations(key, row, files):
    """One for each value of a row."""

    def filled(value):
        return value.format(**files) if isinstance(value, str) else value

    for value in row.values:
        flat = row.base | (value if isinstance(value, dict) else {key: value})
        yield from_flat({k: filled(v) for k, v in flat.items()})


def distance(a, b):
    """The largest difference of the arrays that both have, of the largest number of each."""
    both = [name for name in a if name in b and a[name].shape == b[name].shape]
    assert both, "nothing to compare"
    pairs = [(a[name].astype(np.float64), b[name].astype(np.float64)) for name in both]
    return max(
        (np.abs(x - y).max() / max(np.abs(x).max(), np.abs(y).max(), np.finfo(float).tiny) for x, y in pairs if x.size),
        default=0.0,
    )


def lasting(arrays):
    """The names of all arrays and figures but for those of validation, of which there may be more or fewer."""
    return {name for name in arrays if not name.startswith("validation at")}


def check(key, row, files, *, first_only=False):
    """Fails when a key does not do what its row says; looks at it from one side, and at two values, where asked to."""
    configs = list(configurations(key, row, files))[: 2 if first_only else None]
    looks = row.looks if isinstance(row, Changes) else [row.look]
    for look in looks[: 1 if first_only else None]:
        first, *others = look(configs)
        for value, other in zip(row.values[1:], others, strict=not first_only):
            found = distance(first, other)
            what = f"`{key}` {value!r} beside {row.values[0]!r}, {look.__name__}: {found:.1e} apart"
            if isinstance(row, Changes):
                assert found > VISIBLE, what
            elif isinstance(row, Close):
                assert found < 1e-9, what
            else:
                assert found == 0, what
                assert lasting(first) == lasting(other), what


# What these do is seen on other devices by `parallel/test_invariance.py`, between processes by
# `parallel/test_launch.py`, and of auxiliary classifiers by `training/test_gradient.py`, too.
LONG = {f"parallel.{name}" for name in ("strategy", "batch_norm", "distributed", "coordinator", "num_processes")}
LONG |= {"parallel.process_id"}
# The start of a run by `runs/test_initial_state.py`, and other networks by `test_own_network.py`.
LONG |= {"model.weights", "model.new_head", "model.name"}
# These by `parallel/test_memory.py`,
LONG |= {"model.remat"}
# these by `runs/test_loop.py` and `runs/test_watching.py`.
LONG |= {f"train.{name}" for name in ("log_every", "eval_every", "checkpoint_every", "keep_checkpoints", "test")}
# What these do on a GPU by `parallel/test_deterministic.py` and `runs/test_calls.py`.
LONG |= {"train.deterministic", "train.steps_per_call"}
# Where sets lie is seen by every test that prepares one, and these in `training` and `data/augmentation`.
LONG |= {"data.root", "data.mix", "data.interpolation", "seeds.dropout", "optim.unfreeze"}
# All options go the way of these two, and all arguments the way of these: as one dictionary.
LONG |= OPTIONS - {"model.options.dropout", "model.options.pool"}
LONG |= ARGUMENTS - {"optim.arguments.momentum", "optim.arguments.b1"}


@pytest.mark.parametrize("key", [pytest.param(key, marks=[pytest.mark.slow] * (key in LONG)) for key in KEYS])
def test_every_key_does_what_its_first_row_says(key, files):
    assert key in ROWS, f"`{key}` has no row in wiring_rows.py: say by what its effect shows"
    check(key, ROWS[key][0], files, first_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_every_key_does_what_its_rows_say(key, files):
    for row in ROWS[key]:
        check(key, row, files)


def test_no_row_stands_for_a_key_that_is_gone():
    assert set(ROWS) <= set(KEYS)


def test_a_key_without_a_row_fails(monkeypatch, files):
    monkeypatch.delitem(ROWS, "seed")
    with pytest.raises(AssertionError, match="`seed` has no row"):
        test_every_key_does_what_its_first_row_says("seed", files)


def test_rows_are_of_the_kind_of_their_key():
    """A key of the identity changes something; one outside changes nothing, but by the content that it names."""
    inside = flatten(Config(), identity_only=True).keys() | OPTIONS | ARGUMENTS
    changing = {key for key, rows in ROWS.items() if any(isinstance(row, Changes) for row in rows)}
    # These paths count by what lies there, and per-device statistics become `model.ghost_batch`.
    settled = {"model.weights", "data.folder", "parallel.batch_norm"}
    settled |= {"model.weights_sha256"}  # it is part of their content
    assert changing - settled == inside - settled


def without_auxiliary_losses(monkeypatch):
    of_paper = GoogLeNet.aux_weight.fget
    monkeypatch.setattr(GoogLeNet, "aux_weight", property(lambda model: dict.fromkeys(of_paper(model), 0.0)))


def without_drop_path(module):
    def put_in(monkeypatch):
        monkeypatch.setattr(module, "DropPath", lambda rate, name: DropPath(0.0, name=name))

    return put_in


def without_argument_of_subset(argument, unset):
    def put_in(monkeypatch):
        monkeypatch.setattr(splits, "take_subset", lambda data, **given: take_subset(data, **given | {argument: unset}))

    return put_in


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        pytest.param("model.options.aux", without_auxiliary_losses, marks=pytest.mark.slow),
        pytest.param("model.options.drop_path", without_drop_path(residual), marks=pytest.mark.slow),
        pytest.param("model.options.drop_path", without_drop_path(preactivation), marks=pytest.mark.slow),
        ("data.label_noise", without_argument_of_subset("label_noise", 0.0)),
        ("data.class_fractions", without_argument_of_subset("class_fractions", ())),
    ],
    ids=["auxiliary_losses_times_zero", "drop_path", "drop_path_before_activation", "label_noise", "class_fractions"],
)
def test_a_setting_lost_on_the_way_is_found(key, fault, monkeypatch, files):
    fault(monkeypatch)
    forget()
    try:
        with pytest.raises(AssertionError, match=f"`{key}`.* apart"):
            for row in ROWS[key]:
                check(key, row, files)
    finally:
        forget()
