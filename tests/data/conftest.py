import numpy as np
import pytest
from archive_writers import write_idx
from hypothesis import settings

from cnn_jax.data import load_dataset

# A time limit on single examples fails on a busy machine, and says nothing about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def digits_root(tmp_path_factory):
    """A root in which the digits are prepared."""
    root = tmp_path_factory.mktemp("digits")
    load_dataset("digits", "train", root=root)
    return root


@pytest.fixture
def idx_source(tmp_path):
    """A folder with the four files of an MNIST-like set of 60 + 20 examples, and what is in them."""
    source = tmp_path / "archives"
    source.mkdir()
    random = np.random.default_rng(0)
    content = {}
    for stem, n in (("train", 60), ("t10k", 20)):
        content[stem] = random.integers(0, 256, (n, 28, 28), np.uint8), random.integers(0, 10, n).astype(np.uint8)
        write_idx(source / f"{stem}-images-idx3-ubyte.gz", content[stem][0])
        write_idx(source / f"{stem}-labels-idx1-ubyte.gz", content[stem][1])
    return source, content
