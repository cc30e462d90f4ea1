"""The published archives of the known data sets: address, size and SHA-256, from the tables that TFDS ships."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from cnn_jax.download import PublishedFile

_TABLES = {
    "mnist": "url_checksums/mnist.txt",
    "kmnist": "url_checksums/kmnist.txt",
    "fashion_mnist": "url_checksums/fashion_mnist.txt",
    "emnist": "url_checksums/emnist.txt",
    "cifar10": "url_checksums/cifar10.txt",
    "cifar100": "url_checksums/cifar100.txt",
    "stl10": "datasets/stl10/checksums.tsv",
    "imagenette": "datasets/imagenette/checksums.tsv",
    "imagenet2012": "datasets/imagenet2012/checksums.tsv",
}

# SHA-256 of the unpacked values, for archives that are known to circulate packed anew. Source: Debian's Fashion-MNIST.
CONTENTS: dict[str, dict[str, str]] = {
    "fashion_mnist": {
        "train-images-idx3-ubyte": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
        "train-labels-idx1-ubyte": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
        "t10k-images-idx3-ubyte": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
        "t10k-labels-idx1-ubyte": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
    },
}


@cache
def official_archives(name: str) -> dict[str, PublishedFile]:
    """The archives of the set `name`, by file name; none for a set that has no table."""
    if name not in _TABLES:
        return {}
    rows = (line.split() for line in tfds_file(_TABLES[name]).splitlines() if line.strip())
    return {url.rpartition("/")[2]: PublishedFile(url, int(size), digest) for url, size, digest, *_ in rows}


def tfds_file(path: str) -> str:
    """A text file of the package tensorflow_datasets, found without importing it, which takes half a second."""
    spec = find_spec("tensorflow_datasets")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("tensorflow_datasets is not installed.")
    return Path(spec.submodule_search_locations[0], path).read_text()
