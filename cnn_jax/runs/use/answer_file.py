"""What a network says of every example, in a file for other programs."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.special import softmax

from cnn_jax.config import ConfigError
from cnn_jax.data import Dataset
from cnn_jax.runs.console.pictures import class_names
from cnn_jax.runs.evaluation import Answers
from cnn_jax.runs.folder.files import csv_rows, result_file
from cnn_jax.runs.use.relabelled import example_names

Write = Callable[[Answers, Dataset], None]


@contextlib.contextmanager
def answer_file(path: Path | str | None) -> Iterator[Write]:
    """A function that writes the answers to the examples of a data set; nothing without a path.

    A `.csv` file has a line an example: `id`, `label` (the name of the true class), and the probability of each class
    in a column of its name. A `.npz` file holds the arrays `id` (texts [n]), `label` (int32 [n]), `probabilities`
    (float32 [n, k]) and `class_names` (texts [k]), in a fifth of the space. An output of the network that the data set
    has no name for is called by its number.

    Raises:
      ConfigError: for another suffix, and where the file cannot be written: before anything is computed.
    """
    if path is None:
        yield lambda *_: None
        return
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".npz"):
        raise ConfigError(f"`--predictions` writes .csv or .npz, got `{path}`.")
    with result_file(path, "--predictions") as file:

        def write(said: Answers, dataset: Dataset) -> None:
            probabilities = softmax(said.logits.astype(np.float64), axis=1).astype(np.float32)
            examples, names = example_names(dataset), class_names(dataset.info, probabilities.shape[1])
            if suffix == ".npz":
                arrays = {"id": np.array(examples), "label": said.label, "probabilities": probabilities}
                np.savez_compressed(file, allow_pickle=False, **arrays, class_names=np.array(names))
                return
            with csv_rows(file) as write_row:
                write_row(["id", "label", *names])
                for example, label, row in zip(examples, said.label, probabilities, strict=True):
                    write_row([example, names[label], *row])

        yield write
