import dataclasses

import numpy as np
import pytest

from cnn_jax.runs.folder.predictions import Predictions, read_predictions, write_predictions
from cnn_jax.runs.folder.stored import RunError

GIVEN = Predictions(
    index=np.arange(3, dtype=np.int32),
    label=np.array([2, 0, 1], np.int32),
    classes=np.array([[2, 1], [1, 0], [1, 2]], np.int32),
    probabilities=np.array([[0.7, 0.2], [0.5, 0.4], [0.9, 0.1]], np.float32),
)


def test_they_come_back_as_they_were_written_and_to_the_byte(tmp_path):
    write_predictions(tmp_path, GIVEN)
    first = (tmp_path / "predictions.npz").read_bytes()
    found = read_predictions(tmp_path)
    for name, array in vars(GIVEN).items():
        assert getattr(found, name).dtype == array.dtype
        np.testing.assert_array_equal(getattr(found, name), array)
    assert found.correct.tolist() == [True, False, True]
    write_predictions(tmp_path, GIVEN)
    assert (tmp_path / "predictions.npz").read_bytes() == first


def test_a_run_without_them_has_none(tmp_path):
    assert read_predictions(tmp_path) is None


@pytest.mark.parametrize("damage", ["cut short", "empty", "a pickle", "another array", "arrays of two runs"])
def test_damaged_ones_are_refused(tmp_path, damage):
    path = tmp_path / "predictions.npz"
    write_predictions(tmp_path, GIVEN)
    match damage:
        case "cut short":
            path.write_bytes(path.read_bytes()[:-100])
        case "empty":
            path.write_bytes(b"")
        case "a pickle":
            np.savez(path, **vars(GIVEN) | {"label": np.array([None, 1, 2])})
        case "another array":
            np.savez(path, index=GIVEN.index)
        case "arrays of two runs":
            write_predictions(tmp_path, dataclasses.replace(GIVEN, label=GIVEN.label[:2]))
    with pytest.raises(RunError, match=r"predictions\.npz` is damaged .*; put back a copy"):
        read_predictions(tmp_path)
