"""The 8×8 digits that scikit-learn carries: the data set that needs no download."""

import numpy as np

from cnn_jax.data.order import stratified_hold_out
from cnn_jax.data.sets.raw import RawSplit


def read_digits() -> dict[str, RawSplit]:
    """The 1,797 digits, split once into 1,258 for training, 180 for validation and 359 for the test.

    The pixels count inked dots, 0..16; they are stored as round(255 / 16 · dots), which can be undone exactly, so that
    black and white mean here what they mean in any image file.

    Source: Kaynak 1995, the test part of UCI's "Optical Recognition of Handwritten Digits", as
    `sklearn.datasets.load_digits`.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    labels = digits.target.astype(np.int32)

    everything = np.arange(len(labels))
    test = stratified_hold_out(labels, round(0.2 * len(labels)), stream=0)
    rest = np.setdiff1d(everything, test)
    validation = rest[stratified_hold_out(labels[rest], round(0.1 * len(labels)), stream=1)]
    train = np.setdiff1d(rest, validation)
    rows = {"train": train, "validation": validation, "test": test}
    return {split: RawSplit(images[chosen], labels[chosen]) for split, chosen in rows.items()}
