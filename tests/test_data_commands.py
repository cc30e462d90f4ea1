"""The `data` commands, driven as the command line drives them."""

import json
import subprocess
import sys

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
        (["prepare", "digit"], 2, "did you mean digits"),
        (["prepare", "imagenet2012"], 1, "--source DIR"),
        (["prepare", "fashion_mnist", "--source", "/no/such"], 1, "/no/such is not a folder"),
        (["show", "fashion_mnist", "--out", "x.png"], 1, "cnn-jax data prepare fashion_mnist"),
        (["show", "digits"], 2, "--out"),
        (["shew"], 2, "shew"),
    ],
)
def test_mistakes_give_a_message_and_no_traceback(tmp_path, capsys, monkeypatch, words, status, message):
    monkeypatch.setenv("CNN_JAX_DATA", str(tmp_path))
    assert main(["data", *words]) == status
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_data_list_imports_neither_jax_nor_tensorflow():
    program = (
        "import sys; from cnn_jax.cli import main; main(['data', 'list']);"
        "assert not {'jax', 'tensorflow'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_own_folder_is_prepared_listed_shown_and_trained_on(tmp_path, capsys):
    from cnn_jax.cli import main

    pictures, root = tmp_path / "my pictures", tmp_path / "root"
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 4)):
        for name, colour in (("빨강", 0), ("blue", 2)):
            (pictures / split / name).mkdir(parents=True)
            for i in range(count):
                image = random.integers(0, 60, (30 + i, 40, 3), np.uint8)
                image[..., colour] += 180
                Image.fromarray(image).save(pictures / split / name / f"{i} 번.jpg")
    (pictures / "train" / "blue" / "broken.jpg").write_bytes(b"")
    (pictures / "train" / "blue" / "._0.jpg").write_bytes(b"a Mac was here")
    words = ["data", "prepare", "folder", "--source", str(pictures), "--root", str(root), "--json"]
    assert main(words) == 1
    assert "broken.jpg is empty" in capsys.readouterr().err
    assert main([*words, "--on-error", "skip"]) == 0
    figures = last_json(capsys)
    assert len(figures["skipped"]) == 1
    assert figures["passed_over"] == [str(pictures / "train" / "blue" / "._0.jpg")]
    assert main(["data", "list", "--json", "--root", str(root)]) == 0
    row = last_json(capsys)["datasets"][-1]
    assert row["name"].startswith("folder/my_pictures-") and row["splits"] == {"train": 24, "test": 8}
    out = tmp_path / "grid.png"
    show = ["data", "show", "folder", "--folder", str(pictures), "--out", str(out), "--root", str(root)]
    assert main([*show, "--augment", "random_resized_crop(32)", "horizontal_flip()"]) == 0
    assert np.asarray(Image.open(out)).std() > 10

    experiment = tmp_path / "experiment.py"
    experiment.write_text(
        "from cnn_jax import Config, DataConfig, ModelConfig, TrainConfig\n"
        "def config():\n"
        "    data = DataConfig('folder', batch_size=8, augment=('random_resized_crop(28)', 'horizontal_flip()'),\n"
        "                      eval_augment=('resize_shorter(32)', 'center_crop(28)'), on_error='skip')\n"
        "    return Config(model=ModelConfig('lenet5', conv='xla'), data=data, train=TrainConfig(steps=25))\n"
    )
    options = ["--data.folder", str(pictures), "--data.root", str(root), "--workdir", str(tmp_path / "run"), "--json"]
    assert main(["train", str(experiment), *options]) == 0
    printed = capsys.readouterr()
    test = json.loads(printed.out.splitlines()[-1])["test"]
    assert test["top1"] == 1.0 and test["num_examples"] == 8 and test["skipped_files"] == 1
    broken = str(pictures / "train" / "blue" / "broken.jpg")
    assert (tmp_path / "run" / "skipped.txt").read_text() == f"{broken}\n"
    assert "files left out, in training and evaluation: 1," in printed.err and broken in printed.err
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(0 <= row["time/waiting_for_data"] <= 1 for row in rows if row["split"] == "train")
    assert main(["eval", str(tmp_path / "run")]) == 0
    assert "which could not be decoded: 1" in capsys.readouterr().out
    picture = str(pictures / "test" / "빨강" / "1 번.jpg")
    assert main(["predict", str(tmp_path / "run"), picture, "--json"]) == 0
    assert last_json(capsys)["predictions"][0]["classes"][0] == "빨강"


@pytest.mark.slow
def test_subset_noise_and_views_reach_the_training(tmp_path, capsys):
    experiment = tmp_path / "experiment.py"
    experiment.write_text(
        "from cnn_jax import Config, DataConfig, ModelConfig, TrainConfig\n"
        "def config():\n"
        "    data = DataConfig('digits', batch_size=30, augment=('resize(28)',), eval_augment=('resize(32)',),\n"
        "                      examples_per_class=6, label_noise=0.1, eval_views='ten_crop(28)')\n"
        "    return Config(model=ModelConfig('lenet5', conv='xla'), data=data, train=TrainConfig(epochs=5))\n"
    )
    assert main(["train", str(experiment), "--workdir", str(tmp_path / "run"), "--json"]) == 0
    assert last_json(capsys)["step"] == 10  # five epochs of sixty examples, thirty a step
    assert main(["train", str(experiment), "--workdir", str(tmp_path / "x"), "--data.examples-per-class", "900"]) == 2
    assert "the size of the smallest class, got 900" in capsys.readouterr().err
    assert main(["train", str(experiment), "--workdir", str(tmp_path / "x"), "--data.eval-views", "flop()"]) == 2
    assert "did you mean flip" in capsys.readouterr().err


@pytest.mark.slow
def test_mixing_reaches_the_training(tmp_path, capsys):
    experiment = tmp_path / "experiment.py"
    experiment.write_text(
        "from cnn_jax import Config, DataConfig, ModelConfig, TrainConfig\n"
        "def config():\n"
        "    data = DataConfig('digits', batch_size=32, augment=('resize(28)',), eval_augment=('resize(28)',))\n"
        "    model = ModelConfig('lenet5', num_classes=12, conv='xla')\n"
        "    return Config(model=model, data=data, train=TrainConfig(steps=3, log_every=3))\n"
    )
    losses = []
    for mix in ([], ["mixup(1.0)", "cutmix(1.0)"]):
        run = tmp_path / f"run{len(mix)}"
        words = ["train", str(experiment), "--workdir", str(run), "--json"]
        assert main([*words, "--data.mix", *mix] if mix else words) == 0
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        losses.append(next(row["loss"] for row in rows if row["split"] == "train"))
    assert losses[0] != losses[1] and all(0 < loss < 10 for loss in losses)
    assert main(["train", str(experiment), "--workdir", str(tmp_path / "x"), "--data.mix", "mixup(0)"]) == 2
    assert "`data.mix`" in capsys.readouterr().err
