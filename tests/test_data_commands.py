"""The `data` commands, driven as the command line drives them."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from cnn_jax.cli import main


def last_json(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_data_list_names_what_is_known_and_what_is_prepared(tmp_path, capsys):
    assert main(["data", "list", "--json", "--root", str(tmp_path)]) == 0
    before = {row["name"]: row for row in last_json(capsys)["datasets"]}
    assert not before["digits"]["prepared"] and before["fashion_mnist"]["num_classes"] == 10
    assert main(["data", "prepare", "digits", "--root", str(tmp_path), "--json"]) == 0
    assert last_json(capsys)["path"] == str(tmp_path / "digits" / "1.0.0")
    assert main(["data", "list", "--json", "--root", str(tmp_path)]) == 0
    after = {row["name"]: row for row in last_json(capsys)["datasets"]}
    assert after["digits"]["prepared"] and not after["fashion_mnist"]["prepared"]
    assert after["digits"]["splits"] == {"train": 1258, "validation": 180, "test": 359}
    assert 0.2 < after["digits"]["mean"][0] < 0.4
    assert main(["data", "list", "--root", str(tmp_path)]) == 0
    assert "fashion_mnist" in capsys.readouterr().out


def test_data_show_writes_a_picture(tmp_path, capsys):
    out = tmp_path / "grid.png"
    options = ["--root", str(tmp_path), "--columns", "3", "--augment", "pad_crop(2)"]
    assert main(["data", "show", "digits", "--out", str(out), *options]) == 0
    assert np.asarray(Image.open(out).convert("L")).std() > 10


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["prepare", "digit"], 1, "did you mean digits"),
        (["prepare", "fashion_mnist"], 1, "--source DIR"),
        (["prepare", "fashion_mnist", "--source", "/no/such"], 1, "/no/such is not a folder"),
        (["show", "fashion_mnist", "--out", "x.png"], 1, "cnn-jax data prepare fashion_mnist"),
        (["show", "digits"], 2, "--out"),
        (["shew"], 2, "shew"),
    ],
)
def test_mistakes_give_a_message_and_no_traceback(tmp_path, capsys, monkeypatch, words, status, message):
    monkeypatch.setenv("CNN_JAX_DATA", str(tmp_path))
    begin = time.perf_counter()
    assert main(["data", *words]) == status
    assert time.perf_counter() - begin < 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_data_list_imports_neither_jax_nor_tensorflow():
    program = (
        "import sys; from cnn_jax.cli import main; main(['data', 'list']);"
        "assert not {'jax', 'tensorflow'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL, timeout=60)
