"""The main job through the command line: train, look, evaluate, predict, start again."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cnn_jax
from cnn_jax import load_dataset
from cnn_jax.cli import COMMANDS, main
from cnn_jax.runs import UnreadableImages, trainer
from cnn_jax.runs.console import pictures as drawing
from cnn_jax.runs.folder.metrics_file import read_test_line
from cnn_jax.runs.folder.predictions import read_predictions


def run(capsys, *argv):
    """The exit status, the JSON object of the last line of standard output, and standard error."""
    status = main([str(a) for a in argv])
    out, err = capsys.readouterr()
    lines = out.strip().splitlines()
    return status, json.loads(lines[-1]) if "--json" in argv and lines and status == 0 else out, err


STEPS = ("--train.steps", "60", "--model.conv", "auto")


@pytest.fixture(scope="module")
def trained(lenet, pictures, tmp_path_factory):
    """A run as users have it: with our convolutions, and with its pictures."""
    folder = tmp_path_factory.mktemp("run") / "r"
    with pytest.MonkeyPatch.context() as patch:
        for name, draw in pictures.items():
            patch.setattr(drawing, name, draw)
        assert main(["train", str(lenet), "--workdir", str(folder), *STEPS, "--json"]) == 0
    return folder


def test_a_run_folder_holds_everything(trained):
    names = {p.name for p in trained.iterdir()}
    expected = {"config.json", "metrics.jsonl", "checkpoints", "predictions.npz", "curves.png", "predictions.png"}
    assert expected <= names
    assert any("tfevents" in n for n in names)
    for picture in ("curves.png", "predictions.png"):
        assert np.asarray(Image.open(trained / picture)).std() > 10  # something is drawn


def test_it_keeps_what_it_says_of_every_test_example(trained):
    kept, figures = read_predictions(trained), read_test_line(trained)
    assert kept.index.tolist() == list(range(359))
    np.testing.assert_array_equal(kept.label, load_dataset("digits", "test").labels)
    assert kept.correct.mean() == pytest.approx(figures["top1"])
    assert kept.classes.shape == (359, 5) and (np.diff(kept.probabilities) <= 0).all()
    nll = -np.log(kept.probabilities[:, 0][kept.correct])  # most of the whole, and not more than it
    assert 0 < nll.sum() < 359 * figures["nll"]


def test_the_output_of_a_training_fits_on_a_screen(experiment, tmp_path, capsys):
    assert main(["train", str(experiment), "--workdir", str(tmp_path / "r"), "--train.steps", "30"]) == 0
    out, err = capsys.readouterr()
    lines = [line for line in (err + out).splitlines() if "warning" not in line]
    assert len(lines) <= 40
    for part in ("CPU", "digits, 1,258 images", "Small, 2,618 parameters", "30 steps", str(tmp_path / "r")):
        assert part in lines[0]
    assert err.splitlines()[-1].startswith("step 30/30  train  loss ") and "memory" not in err
    assert "top-1 accuracy" in out and out.count("top-1 of") == 5 and out.splitlines()[-1].endswith("predictions.png")


def test_a_run_that_diverges_stops_and_says_so_and_draws_its_curve(experiment, pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(trainer, "draw_curves", pictures["draw_curves"])
    flags = ["--train.log_every", "1", "--optim.learning_rate", "1e20", "--workdir", str(tmp_path / "r")]
    assert main(["train", str(experiment), *flags]) == 1
    err = capsys.readouterr().err
    assert re.search("not finite| is (inf|nan)", err) and "optim.learning_rate" in err
    assert np.asarray(Image.open(tmp_path / "r" / "curves.png")).std() > 5


def test_metrics_come_at_the_steps_asked_for(trained):
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    steps = {s: [line["step"] for line in lines if line["split"] == s] for s in ("train", "validation", "test")}
    assert steps["train"] == [*range(5, 61, 5)]  # every log_every, whenever checkpoints and evaluations come
    assert steps["validation"] == [*range(8, 57, 8), 60]
    assert steps["test"] == [60]
    train = next(line for line in lines if line["split"] == "train")
    assert {"loss", "top1", "top5", "grad_norm", "learning_rate", "time/images_per_s"} <= set(train)


def test_it_learns(trained, capsys):
    _, figures, _ = run(capsys, "eval", trained, "--json")
    assert figures["top1"] > 0.5  # chance is 0.1


def test_events_hold_what_the_metrics_hold(trained):
    events = EventAccumulator(str(trained / "validation"))
    events.Reload()
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    written = [(s.step, pytest.approx(s.value)) for s in events.Scalars("loss")]
    assert written == [(line["step"], line["loss"]) for line in lines if line["split"] == "validation"]


def test_eval_repeats_what_training_reported(trained, capsys):
    status, figures, _ = run(capsys, "eval", trained, "--json")
    last = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])
    assert status == 0
    assert figures["num_examples"] == 359
    assert {k: figures[k] for k in last if k != "per_class"} == {k: v for k, v in last.items() if k != "per_class"}
    assert list(figures["per_class"]) == list("0123456789")


def test_eval_of_the_best_checkpoint_is_at_least_the_latest_on_validation(trained, capsys):
    _, best, _ = run(capsys, "eval", trained, "--split", "validation", "--step", "best", "--json")
    _, latest, _ = run(capsys, "eval", trained, "--split", "validation", "--json")
    assert best["top1"] >= latest["top1"]


def test_eval_of_a_step_that_was_not_saved_names_those_that_were(trained, capsys):
    status, _, err = run(capsys, "eval", trained, "--step", "3")
    assert status == 1
    assert "step 3" in err and "60" in err


@pytest.mark.parametrize("wrong", ["newest", "-1", "1.5"])
def test_eval_of_a_step_that_makes_no_sense_is_a_usage_error(trained, capsys, wrong):
    status, _, err = run(capsys, "eval", trained, "--step", wrong)
    assert status == 2
    assert wrong.lstrip("-") in err


def test_predict_ranks_the_classes(trained, capsys, tmp_path):
    pixels = np.zeros((16, 16), np.uint8)
    pixels[2:14, 7:9] = 255
    Image.fromarray(pixels).save(tmp_path / "one.png")
    status, figures, _ = run(
        capsys, "predict", trained, tmp_path / "one.png", tmp_path / "one.png", "--top", "3", "--json"
    )
    assert status == 0
    first, second = figures["predictions"]
    assert first["classes"] == second["classes"] and len(first["classes"]) == 3
    assert first["probabilities"] == pytest.approx(second["probabilities"], abs=1e-6)  # rows are rounded differently
    assert first["probabilities"] == sorted(first["probabilities"], reverse=True)


def test_predict_names_a_file_that_is_no_image(trained, capsys, tmp_path):
    (tmp_path / "x.png").write_text("not an image")
    status, _, err = run(capsys, "predict", trained, tmp_path / "x.png")
    assert status == 1
    assert "x.png" in err and "Traceback" not in err


def test_predict_gives_the_others_where_one_file_is_no_image(trained, capsys, tmp_path):
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("not an image")
    status = main(["predict", str(trained), str(tmp_path / "bad.png"), str(tmp_path / "good.png"), "--json"])
    out, err = capsys.readouterr()
    assert status == 1
    assert [p["image"] for p in json.loads(out)["predictions"]] == [str(tmp_path / "good.png")]
    assert "bad.png" in err and "Traceback" not in err


@pytest.fixture
def five_images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (9, 11), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_what_is_said_of_an_image_depends_on_the_size_of_its_batch_by_rounding_alone(trained, five_images):
    whole = cnn_jax.predict(trained, [five_images], top=10)
    alone = [cnn_jax.predict(trained, [said["image"]], top=10)[0] for said in whole]
    assert [said["classes"][0] for said in alone] == [said["classes"][0] for said in whole]
    for a, b in zip(alone, whole, strict=True):  # seven layers of sums in another order, in float32
        probabilities = [dict(zip(said["classes"], said["probabilities"], strict=True)) for said in (a, b)]
        assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-6)
    (five_images / "1.png").write_text("no image")
    with pytest.raises(UnreadableImages, match=r"1\.png is not an image") as refused:
        cnn_jax.predict(trained, [five_images], top=10)
    assert refused.value.predictions == [whole[number] for number in (0, 2, 3, 4)]  # to the bit


def test_predict_writes_a_table_of_a_folder_and_says_how_fast_it_was(trained, five_images, capsys):
    table = five_images / "t.csv"
    status = main(["predict", str(trained), f"{five_images}/[0-3].png", "--top", "2", "--csv", str(table), "--json"])
    out, err = capsys.readouterr()
    assert status == 0 and "classifying: 4 images in " in err
    lines = [line.split(",") for line in table.read_text().splitlines()]
    assert lines[0] == ["image", "class_1", "probability_1", "class_2", "probability_2"]
    for line, said in zip(lines[1:], json.loads(out.splitlines()[-1])["predictions"], strict=True):
        assert line[0] == said["image"] and line[1::2] == said["classes"]
        assert list(map(float, line[2::2])) == said["probabilities"]


@pytest.mark.parametrize("place", ["gone/t.csv", "."])
def test_predict_says_before_its_work_that_a_table_cannot_be_written(trained, five_images, capsys, place):
    status, _, err = run(capsys, "predict", trained, five_images, "--csv", five_images / place)
    assert status == 2 and "`--csv`" in err and "cannot be written" in err and "classifying" not in err
    assert len(list(five_images.iterdir())) == 5


@pytest.mark.parametrize(("words", "message"), [((), "at least one image"), (("a.png", "--top", "0"), "`--top` is 0")])
def test_predict_of_nothing_is_a_usage_error(trained, capsys, words, message):
    status, _, err = run(capsys, "predict", trained, *words)
    assert status == 2
    assert message in err


@pytest.mark.slow
def test_colour_is_not_interactivity(experiment, tmp_path):
    command = [sys.executable, "-m", "cnn_jax", "train", str(experiment), "--workdir", str(tmp_path / "r")]
    done = subprocess.run(
        [*command, "--train.steps", "5"], capture_output=True, text=True, env=os.environ | {"FORCE_COLOR": "1"}
    )
    assert re.search("^step 5/5  train", done.stderr, re.MULTILINE), done.stderr


def test_the_same_command_again_says_finished_and_changes_nothing(trained, lenet, capsys):
    before = {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()}
    status, figures, err = run(capsys, "train", lenet, "--workdir", trained, *STEPS, "--json")
    assert status == 0 and "finished" in err
    assert figures["step"] == 60 and figures["test"]["num_examples"] == 359
    assert {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()} == before


def test_another_experiment_in_the_folder_is_refused_with_the_difference(trained, lenet, capsys):
    status, _, err = run(capsys, "train", lenet, "--workdir", trained, *STEPS, "--seed", "1")
    assert status == 2
    assert "seed: 0 there, 1 now" in err


def test_diff_shows_what_differs(trained, lenet, capsys, tmp_path, untrained):
    main(["train", str(lenet), "--workdir", str(tmp_path / "b"), "--train.steps", "1", "--seed", "4"])
    capsys.readouterr()
    status, rows, _ = run(capsys, "diff", trained, tmp_path / "b", "--json")
    assert status == 0
    assert rows == {"model.conv": ["auto", "xla"], "seed": [0, 4], "train.steps": [60, 1]}


def test_dotted_overrides_take_hyphens_and_underscores(experiment, tmp_path, untrained):
    flags = ["--train.steps", "1", "--optim.learning-rate", "0.3", "--data.batch_size", "32"]
    assert main(["train", str(experiment), "--workdir", str(tmp_path / "r"), *flags]) == 0
    stored = json.loads((tmp_path / "r" / "config.json").read_text())
    assert stored["config"]["optim.learning_rate"] == 0.3
    assert stored["derived"]["learning_rate"] == pytest.approx(0.3 * 32 / 256)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--optim.lerning_rate", "1"], "optim.learning"),
        (["--train.steps", "many"], "many"),
        (["--model.name", "lenet6"], "lenet5"),
        (["--model.name", "resnet20"], "resnet20_cifar"),
        (["--data.name", "digit"], "digits"),
        (["--name", "a/b"], "`name` is a/b"),
        (["--data.augment", "pad_corp(4)"], "pad_crop"),
        (["--optim.arguments.beta1", "0.9"], "optim.arguments.beta1"),
        (["--optim.name", "sdg"], "Did you mean `sgd`?"),
        (["--data.eval_augment", "horizontal_flip()"], "eval_augment"),
    ],
)
def test_a_mistaken_flag_is_a_usage_error_that_helps(experiment, capsys, tmp_path, flags, message):
    status, _, err = run(capsys, "train", experiment, "--workdir", tmp_path / "r", *flags)
    assert status == 2
    assert message in err and "Traceback" not in err


def test_missing_run_folder_is_a_clear_failure(capsys, tmp_path):
    status, _, err = run(capsys, "eval", tmp_path / "nowhere")
    assert status == 1
    assert "nowhere" in err and "Traceback" not in err


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float64", marks=pytest.mark.slow)])
def test_other_dtypes_train(experiment, capsys, tmp_path, dtype):
    flags = ["--train.steps", "2", "--model.dtype", dtype, "--json"]
    status, figures, _ = run(capsys, "train", experiment, "--workdir", tmp_path / "r", *flags)
    assert status == 0
    again = run(capsys, "eval", tmp_path / "r", "--json")[1]
    assert again["nll"] == figures["test"]["nll"]


@pytest.mark.tensorflow
def test_training_imports_no_tensorflow(experiment, tmp_path):
    pytest.importorskip("tensorflow")
    code = (
        "import sys; from cnn_jax.cli import main; "
        f"status = main(['train', {str(experiment)!r}, '--workdir', {str(tmp_path / 'r')!r}, '--train.steps', '2']); "
        "sys.exit(status or 10 * ('tensorflow' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *(
            ("train", "train"),
            ("eval", "evaluate"),
            ("predict", "predict"),
            ("verify", "verify"),
            ("diff", "diff_runs"),
            ("ablate", "ablate"),
            ("tune", "tune"),
        ),
        *(("runs", "list_runs"), ("models", "list_models"), ("summary", "summary"), ("bench", "time_steps")),
        *(("data list", "list_datasets"), ("data prepare", "prepare"), ("data show", "draw_examples")),
        *(
            ("weights import", "import_weights"),
            ("weights fetch", "fetch_weights"),
            ("weights export", "export_weights"),
            ("export", "export"),
        ),
    ],
)
def test_help_names_the_function_that_does_the_same(command, name, capsys):
    assert main([*command.split(), "--help"]) == 0
    assert re.search(rf"From Python:\s+`?cnn_jax\.{name}\b", capsys.readouterr().out)
    assert callable(getattr(cnn_jax, name))


def test_help_is_complete(experiment, capsys):
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    listed = re.search(r"\{(.*?)\}", overview, flags=re.DOTALL)
    assert set(re.findall(r"\w+", listed[1])) == set(COMMANDS)
    assert main(["train", str(experiment), "--help"]) == 0
    options = capsys.readouterr().out
    for flag in ("--optim.learning-rate", "--train.steps", "--data.batch-size", "--workdir", "--model.dtype"):
        assert flag in options
    own_batch_size = r"--data.batch-size INT\W+[^(]*\(default: 64\)"  # not the dataclass's
    assert re.search(own_batch_size, options)
