"""Reads and refuses PyTorch's files: run by a Python that has PyTorch, it need not have JAX, nor this package.

python pth_side.py FOLDER
"""

import importlib.util
import pickle
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision

FILES = Path(__file__).parents[2] / "cnn_jax" / "weights" / "files.py"


class Malice:
    """Writes a file when it is unpickled without restraint."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return open, (str(self.target), "w")


def main(folder: str) -> None:
    """Writes files of both of PyTorch's formats, and bad ones, and reads them all."""
    specification = importlib.util.spec_from_file_location("files", FILES)
    files = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(files)

    place = Path(folder)
    state = torchvision.models.resnet18(num_classes=10).state_dict()
    torch.save(state, place / "zip.pth")
    torch.save(state, place / "older.pth", _use_new_zipfile_serialization=False)
    for name in ("zip.pth", "older.pth"):
        read = files.read_torch(place / name)
        assert read.keys() == state.keys()
        assert all(np.array_equal(read[key], tensor.numpy()) for key, tensor in state.items())
    half = {"a": torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))}
    torch.save(half, place / "half.pt")
    assert files.read_torch(place / "half.pt")["a"].tolist() == [1.0, 1.0]

    (place / "cut.pth").write_bytes((place / "zip.pth").read_bytes()[:-1000])
    torch.save(torchvision.models.resnet18(num_classes=10), place / "module.pth")
    torch.save({"epoch": 1, "model": state}, place / "checkpoint.pth")
    assert files.read_torch(place / "checkpoint.pth").keys() == state.keys()
    torch.save({"epoch": 1, "model": state, "model_ema": state}, place / "two.pth")
    torch.save({"a": Malice(place / "ran1")}, place / "malice.pth")
    (place / "pickle.pth").write_bytes(pickle.dumps(Malice(place / "ran2")))
    (place / "text.pth").write_text("no tensors")
    pickled, damaged, several = "is refused: it is a pickle", "is no complete file of PyTorch's", "more than one state"
    bad = {"cut": damaged, "two": several, **dict.fromkeys(("module", "malice", "pickle", "text"), pickled)}
    for name, message in bad.items():
        try:
            files.read_torch(place / f"{name}.pth")
        except files.WeightsError as error:
            assert message in str(error), error
        else:
            raise AssertionError(f"{name}.pth was read")
    assert not (place / "ran1").exists() and not (place / "ran2").exists()
    print("all read, all refused")


if __name__ == "__main__":
    main(*sys.argv[1:])
