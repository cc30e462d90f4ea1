"""What `eval` says of a run: scores by class, a temperature, every example; and of other data beside its own."""

import csv
import hashlib
import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss

from cnn_jax import OtherData, create_model, evaluate, load_dataset, open_run, predict, save_weights
from cnn_jax.cli import main
from cnn_jax.config import ConfigError
from cnn_jax.data import DataError
from cnn_jax.models import abstract_variables
from cnn_jax.runs.session import Session

DIGITS = list("0123456789")

# The test digits: their classes in another order, some of them, and in other colours.
OWN = """
import numpy as np
from cnn_jax import Images, load_dataset

def reordered(split, first=0):
    digits = load_dataset("digits", split)
    images = digits.images(np.arange(len(digits)))
    keep = digits.labels >= first
    names = [str(k) for k in range(9, first - 1, -1)]
    return Images(images[keep], (9 - digits.labels)[keep], names)

def strange(split):
    digits = load_dataset("digits", split)
    return Images(digits.images(np.arange(len(digits))), digits.labels, [*"012345678", "nine"])

def invert(image):
    return 255 - image
"""


@pytest.fixture(scope="module")
def trained(experiment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated") / "r"
    assert main(["train", str(experiment), "--workdir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def said(trained):
    """Labels, logits of the test split, and of the validation split."""
    run = open_run(trained)
    return {split: run.answers(run.variables(), split) for split in ("test", "validation")}


@pytest.fixture(scope="module")
def whole(trained):
    """The figures of the test split."""
    return evaluate(trained)


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path / "own.py"


@pytest.fixture(scope="module")
def pictures_of_digits(tmp_path_factory):
    """CLASS/NUMBER.png of the first 40 test digits."""
    folder, digits = tmp_path_factory.mktemp("pictures"), load_dataset("digits", "test")
    for number, label in enumerate(digits.labels[:40]):
        (folder / str(label)).mkdir(exist_ok=True)
        Image.fromarray(digits.images(np.array([number]))[0, :, :, 0]).save(folder / str(label) / f"{number:02}.png")
    return folder


def content(folder):
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_scores_are_scikit_learns_and_the_run_is_left_alone(trained, said):
    before = content(trained)
    figures = evaluate(trained)
    assert content(trained) == before
    label, p = said["test"].label, softmax(said["test"].logits.astype(np.float64), axis=1)
    assert said["test"].index.tolist() == list(range(359))
    assert label.tolist() == load_dataset("digits", "test").labels.tolist()
    assert figures["nll"] == pytest.approx(log_loss(label, p), rel=1e-6)  # sums of 359 in float32
    assert figures["brier"] == pytest.approx(brier_score_loss(label, p, scale_by_half=False), rel=1e-6)
    for k, name in enumerate(DIGITS):
        rows = label == k
        expected = (
            log_loss(label[rows], p[rows], labels=range(10)),
            np.mean(((p - np.eye(10)[label]) ** 2).sum(1)[rows]),
        )
        found = figures["nll_per_class"][name], figures["brier_per_class"][name]
        assert found == pytest.approx(expected, rel=1e-9)


def test_the_temperature_is_that_of_the_validation_split_whatever_is_evaluated(trained, said, whole):
    found = whole["calibrated"]
    temperature = found["temperature"]
    scaled = softmax(said["test"].logits.astype(np.float64) / temperature, axis=1)
    assert found["nll"] == pytest.approx(log_loss(said["test"].label, scaled), rel=1e-9)
    on_validation = evaluate(trained, split="validation")
    assert on_validation["calibrated"]["temperature"] == temperature
    assert on_validation["calibrated"]["nll"] <= on_validation["nll"]
    tried = [log_loss(said["validation"].label, softmax(said["validation"].logits / t, axis=1)) for t in (0.9, 1.1)]
    assert on_validation["calibrated"]["nll"] <= min(tried)


def test_without_validation_examples_there_is_no_temperature(trained, monkeypatch):
    monkeypatch.setattr(Session, "has_validation", False)
    assert evaluate(trained)["calibrated"] == {"temperature": None, "why": "the run holds no validation examples out"}


@pytest.mark.slow
def test_weights_from_elsewhere_have_no_temperature(tmp_path):
    zeros = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, np.float32), abstract_variables(create_model("lenet5", 10), (28, 28, 1))
    )
    save_weights(tmp_path / "w.safetensors", create_model("lenet5", 10), zeros)
    words = ["--data", "digits", "--eval-augment", "resize(28)", "--out", str(tmp_path / "r")]
    assert main(["weights", "import", "lenet5", str(tmp_path / "w.safetensors"), *words]) == 0
    assert "come from elsewhere" in evaluate(tmp_path / "r")["calibrated"]["why"]


def test_what_is_said_of_every_example_is_written_as_text_and_as_arrays(trained, said, tmp_path, capsys):
    for name in ("p.csv", "p.npz"):
        assert main(["eval", str(trained), "--predictions", str(tmp_path / name), "--json"]) == 0
    expected = softmax(said["test"].logits.astype(np.float64), axis=1).astype(np.float32)
    with np.load(tmp_path / "p.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["probabilities"], expected)
        assert arrays["label"].tolist() == said["test"].label.tolist()
        assert arrays["class_names"].tolist() == DIGITS
        assert arrays["id"].tolist() == [str(number) for number in range(359)]
    head, *rows = csv.reader((tmp_path / "p.csv").open())
    assert head == ["id", "label", *DIGITS]
    assert [row[:2] for row in rows] == [[str(n), str(label)] for n, label in enumerate(said["test"].label)]
    np.testing.assert_array_equal(np.array([row[2:] for row in rows], np.float32), expected)


@pytest.mark.parametrize(("file", "why"), [("p.txt", r"\.csv or \.npz"), ("gone/p.csv", "cannot be written")])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_computed(
    trained, tmp_path, file, why, monkeypatch
):
    monkeypatch.setattr(Session, "compiled_eval_step", None)
    with pytest.raises(ConfigError, match=why):
        evaluate(trained, predictions=tmp_path / file)


def test_classes_in_another_order_are_found_by_their_names(trained, own, whole):
    found = evaluate(trained, data=OtherData(f"{own}:reordered"))
    assert found["data"] == {"name": f"{own}:reordered", "folder": None, "eval_augment": [], "missing_classes": []}
    assert found["own"] == {key: value for key, value in whole.items() if key not in ("split", "step")}
    assert {key: value for key, value in found.items() if key not in ("data", "own")} == whole  # the same images


def test_classes_that_are_missing_are_named_and_have_no_figures(trained, own, whole, capsys):
    assert main(["eval", str(trained), "--data.name", f"{own}:reordered(first=8)"]) == 0
    out = capsys.readouterr().out
    assert "no examples of: 0, 1, 2, 3, 4, 5, 6, 7" in out and "the run's own" in out and "own NLL" in out
    assert main(["eval", str(trained), "--data.name", f"{own}:reordered(first=8)", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["per_class"]["8"] == whole["per_class"]["8"] and found["per_class"]["0"] is None
    assert found["nll_per_class"]["0"] is None


def test_a_folder_of_pictures_is_evaluated_whole_and_as_predict_sees_it(trained, pictures_of_digits, tmp_path):
    found = evaluate(trained, data=OtherData(folder=str(pictures_of_digits)), predictions=tmp_path / "p.npz")
    assert found["num_examples"] == 40
    assert found["data"]["eval_augment"] == ["resize_shorter(8)", "center_crop(8, 8)", "to_gray()"]
    predicted = predict(trained, [pictures_of_digits], top=10)
    with np.load(tmp_path / "p.npz") as arrays:
        assert arrays["id"].tolist() == [row["image"] for row in predicted]
        for row, expected in zip(arrays["probabilities"], predicted, strict=True):
            ranked = np.argsort(-row, kind="stable")
            assert [DIGITS[k] for k in ranked] == expected["classes"]
            # A gray value is the sum of three equal ones with weights of sum 1, in float32.
            np.testing.assert_allclose(row[ranked], expected["probabilities"], atol=1e-5)


def test_images_are_seen_in_another_way(trained, said, own):
    found = evaluate(trained, data=OtherData(eval_augment=(f"{own}:invert",)))
    described = {"name": "digits", "folder": None, "eval_augment": ["invert"], "missing_classes": []}
    assert found["data"] == described
    run, images = open_run(trained), load_dataset("digits", "test").images(np.arange(359))
    inverted = run.logits(run.variables(), 255 - images)
    assert found["top1"] == np.mean(np.argmax(inverted, 1) == said["test"].label) < found["own"]["top1"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--data.name", "{own}:strange"], "classes that the run does not know: nine"),
        (["--data.name", "{own}:reorderd"], "has no function 'reorderd'. Did you mean `reordered`"),
        (["--data.name", "gone.py:f"], "no experiment file `gone.py`"),
        (["--data.name", "digitz"], "digits"),
        (["--data.eval_augment", "resize(9)"], "makes images of 9×9×1, and the network was trained on 8×8×1"),
        (["--data.eval_augment", "to_rgb()"], "makes images of 8×8×3"),
        (["--data.eval_augment", "pad_crop(1)"], "is random"),
        (["--data.name", "digits", "--data.folder", "{tmp}"], "`data.folder` has no effect with `data.name` digits"),
        (["--data.name", "digits", "--data.on_error", "skip"], "`data.on_error` has no effect on digits"),
    ],
)
def test_other_data_that_the_run_cannot_use_are_a_usage_error(trained, own, tmp_path, capsys, words, why):
    assert main(["eval", str(trained), *(word.format(own=own, tmp=tmp_path) for word in words)]) == 2
    assert why in " ".join(capsys.readouterr().err.split())


def test_a_folder_without_images_and_one_with_a_bad_one_are_named(trained, pictures_of_digits, tmp_path):
    (tmp_path / "empty" / "3").mkdir(parents=True)
    with pytest.raises(DataError, match="empty holds no image"):
        evaluate(trained, data=OtherData(folder=str(tmp_path / "empty")))
    shutil.copytree(pictures_of_digits, tmp_path / "some")
    (tmp_path / "some" / "3" / "bad.png").write_text("no image")
    with pytest.raises(DataError, match=r"bad\.png"):
        evaluate(trained, data=OtherData(folder=str(tmp_path / "some")))


@pytest.mark.slow
def test_a_bad_picture_in_a_folder_is_left_out_and_counted(trained, pictures_of_digits, tmp_path):
    shutil.copytree(pictures_of_digits, tmp_path / "some")
    (tmp_path / "some" / "3" / "bad.png").write_text("no image")
    found = evaluate(trained, data=OtherData(folder=str(tmp_path / "some"), on_error="skip"))
    assert (found["num_examples"], found["skipped_files"]) == (40, 1)
