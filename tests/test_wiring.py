"""Every key of the configuration has its effect: `wiring_rows` says by what it shows, a key without a row fails.

A setting that is read nowhere, multiplied by zero or dropped on the way passes every test of the part that it is
meant for. So each row changes one key of an experiment and looks at what comes out at the other end.
"""

import dataclasses
import hashlib

import jax
import numpy as np
import pytest
from PIL import Image
from wiring_rows import GOOGLENET, LENET, RESNET, ROWS, WEIGHTS, Changes, Close, Refused, Same

from cnn_jax.config import Config, ConfigError, flatten, from_flat
from cnn_jax.models import ModelOptions, abstract_variables, create_model, save_weights
from cnn_jax.modules import residual
from cnn_jax.training import session as sessions
from cnn_jax.training.session import open_session

# Of the largest number of an array. Two float32 programs of the same meaning differ by 1e-6 after two steps.
VISIBLE = 1e-4
KEYS = list(flatten(Config()))


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A folder with the weights and images that rows name, and the checksum of one.safetensors."""
    folder = tmp_path_factory.mktemp("wiring")
    (folder / "moved").mkdir()
    random, model = np.random.default_rng(0), create_model("resnet8_cifar", 10, options=ModelOptions(width=0.25))
    for name in ("one", "other"):
        variables = jax.tree.map(
            lambda leaf: random.uniform(0.5, 1, leaf.shape).astype(np.float32), abstract_variables(model, (8, 8, 1))
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
    return max((np.abs(x - y).max() / max(np.abs(x).max(), np.finfo(float).tiny) for x, y in pairs if x.size), default=0.0)


def check(key, row, files):
    """Fails when a key does not do what its row says."""
    if isinstance(row, Refused):
        with pytest.raises(ConfigError, match=row.message):
            open_session(from_flat(row.base | {key: row.value}))
        return
    configs = list(configurations(key, row, files))
    for look in row.looks if isinstance(row, Changes) else [row.look]:
        first, *others = look(configs)
        for value, other in zip(row.values[1:], others, strict=True):
            found = distance(first, other)
            what = f"`{key}` {value!r} beside {row.values[0]!r}, {look.__name__}: {found:.1e} apart"
            if isinstance(row, Changes):
                shapes = {n: a.shape for n, a in first.items()} != {n: a.shape for n, a in other.items()}
                assert found > VISIBLE or (look.__name__ == "stream" and shapes), what
            elif isinstance(row, Close):
                assert found < 1e-9, what
            else:
                assert found == 0, what


@pytest.mark.parametrize("key", KEYS)
def test_every_key_does_what_its_row_says(key, files):
    assert key in ROWS, f"`{key}` has no row in wiring_rows.py: say by what its effect shows"
    for row in ROWS[key]:
        check(key, row, files)
