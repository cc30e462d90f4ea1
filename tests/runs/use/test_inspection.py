"""The page of a small network on the digits, and what is refused."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import cnn_jax
from cnn_jax.cli import main
from cnn_jax.inspect.draw import draw_tiles
from cnn_jax.runs.evaluation import answers
from cnn_jax.runs.use import inspected, inspected_split, inspection

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def run(experiment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("looked_at") / "run"
    assert main(["train", str(experiment), "--workdir", str(folder), "--train.steps", "8"]) == 0
    return folder


@pytest.fixture
def image(tmp_path):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 3).save(tmp_path / f"{HOSTILE}.png")
    return tmp_path / f"{HOSTILE}.png"


def only(monkeypatch, *names):
    monkeypatch.setattr(inspection, "_SECTIONS", {name: inspection._SECTIONS[name] for name in names})


@pytest.mark.slow
def test_the_page_holds_every_picture_and_each_is_a_file(run, tmp_path, capsys):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["inspect", str(run), "--out", str(tmp_path / "page"), "--json"]) == 0
    out, err = capsys.readouterr()
    files = json.loads(out.splitlines()[-1])["files"]
    assert sorted(files) == sorted(map(str, (tmp_path / "page").iterdir()))
    names = {re.sub(r".*/|\.png$", "", file) for file in files[1:]}
    assert names == {
        *("filters", *(f"image_{i}" for i in range(1, 7)), "maps_stem", "maps_stem_norm", "receptive_fields", "drawn"),
        *("plane", "neighbours", "confusion", "mistakes", "reliability"),
    }
    page = (tmp_path / "page" / "index.html").read_text()
    assert page.count('src="data:image/png') == len(names) and "http" not in page.replace("http-equiv", "")
    assert [line.split("s  ")[1] for line in err.splitlines() if "s  " in line] == list(inspection._SECTIONS)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_files_of_ones_own_are_explained_for_a_class_and_their_names_are_text(run, image, tmp_path, monkeypatch):
    only(monkeypatch, "first filters", "Grad-CAM, integrated gradients, occlusion", "calibration")
    made = cnn_jax.inspect_run(run, [image], tmp_path / "page", feature="stem", class_named="3", split="validation")
    assert [path.name for path in made.pictures] == ["filters.png", "image_1.png", "reliability.png"]
    page = made.page.read_text()
    assert "<img src=x" not in page and "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "explained: 3" in page and "the feature stem, weighted" in page


def test_no_image_is_its_own_neighbour(run, tmp_path, monkeypatch):
    only(monkeypatch, "neighbours")
    drawn, nearest = [], inspected_split.nearest_neighbours
    shaken = lambda known, asked, n: nearest(known, asked + 1e-6, n)  # noqa: E731, as another program rounds them
    monkeypatch.setattr(inspected_split, "nearest_neighbours", shaken)
    monkeypatch.setattr(inspected_split, "draw_tiles", lambda tiles, titles: drawn.extend(tiles) or draw_tiles(tiles))
    cnn_jax.inspect_run(run, [], tmp_path / "page")
    assert len(drawn) == 6 * 4
    for i in range(0, len(drawn), 4):
        assert all((drawn[i] != other).any() for other in drawn[i + 1 : i + 4])


def test_calibration_says_why_there_is_no_temperature(run, tmp_path, monkeypatch):
    only(monkeypatch, "calibration")
    monkeypatch.setattr(inspected, "validation_temperature", lambda *_: (1.0, "the weights come from elsewhere"))
    page = cnn_jax.inspect_run(run, [], tmp_path / "page").page.read_text()
    assert "no temperature beside it: the weights come from elsewhere." in page and "was fitted" not in page
    nan = np.full((359, 10), np.nan)
    nothing = lambda *given, **how: dataclasses.replace(answers(*given, **how), logits=nan)  # noqa: E731
    monkeypatch.setattr(inspected, "answers", nothing)
    page = cnn_jax.inspect_run(run, [], tmp_path / "page").page.read_text()
    assert "The logits of the test split are not finite." in page


def test_without_the_data_set_files_are_looked_at_all_the_same(run, image, tmp_path, monkeypatch):
    only(monkeypatch, "receptive fields", "confusion and mistakes")
    other = shutil.copytree(run, tmp_path / "other")
    gone = lambda *_: (_ for _ in ()).throw(cnn_jax.runs.folder.stored.RunError("its data set is another now."))  # noqa: E731
    monkeypatch.setattr(inspection, "check_data", gone)
    made = cnn_jax.inspect_run(other, [image], tmp_path / "page")
    assert [path.name for path in made.pictures] == ["receptive_fields.png"]
    assert "its data set is another now." in made.page.read_text()
    with pytest.raises(cnn_jax.runs.folder.stored.RunError, match="is another now"):
        cnn_jax.inspect_run(other, [], tmp_path / "page")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["{folder}/text.png"], 1, "text.png"),
        (["{folder}/empty"], 1, "holds no image"),
        (["--feature", "stme"], 2, r"`--feature`: Small has no feature 'stme'. The nearest are stem"),
        (
            ["--feature", "head"],
            2,
            r"`--feature`: the feature 'head' is no map but 10 numbers; maps are stem",
        ),
        (["--class", "33"], 2, r"`--class` is '33', which is no class of the run's data set. Did you mean `3`"),
        (["--split", "tset"], 2, "unknown split 'tset'; digits has train, validation, test"),
        (["{folder}/image.png", "--split", "tset"], 2, "unknown split 'tset'; digits has train, validation, test"),
        (["--out", "{folder}/text.png"], 2, r"`--out` .*text.png is no folder that can be made"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_in_a_sentence(run, tmp_path, capsys, words, status, sentence):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no image")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "image.png")
    words = [word.format(folder=tmp_path) for word in words]
    out = [] if "--out" in words else ["--out", str(tmp_path / "page")]
    assert main(["inspect", str(run), *words, *out]) == status
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and re.search(sentence, said[0]), said


UNNAMED = """
from flax import linen as nn
from cnn_jax import Config, DataConfig, Images, ModelConfig, TrainConfig
import numpy as np

def numbers(split):
    if split != "train":
        return None
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (40, 12, 10, 3), dtype=np.uint8)
    return Images(images, np.arange(40, dtype=np.int32) % 2, class_names=("cat", "dog"))

class Flat(nn.Module):
    num_classes: int
    layers: int = 0

    @nn.compact
    def __call__(self, images, *, train):
        x = images
        for _ in range(self.layers):
            x = nn.relu(nn.Conv(4, (3, 3))(x))
        return nn.Dense(self.num_classes)(x.reshape(len(x), -1))

def config():
    return Config(
        model=ModelConfig(Flat),
        data=DataConfig(numbers, batch_size=8),
        train=TrainConfig(steps=2, log_every=1, eval_every=2, checkpoint_every=2),
    )
"""


@pytest.mark.slow
def test_a_network_of_ones_own_is_looked_into_and_one_without_maps_is_refused(tmp_path, capsys):
    (tmp_path / "own.py").write_text(UNNAMED)
    train = ["train", str(tmp_path / "own.py"), "--workdir"]
    assert main([*train, str(tmp_path / "flat")]) == 0
    assert main([*train, str(tmp_path / "two"), "--model.options.layers", "2"]) == 0
    capsys.readouterr()
    for name, more, sentence in (
        ("flat", ["--split", "train"], "Flat has no feature map of more than one place"),
        ("two", [], "has no test split; it has train"),
    ):
        assert main(["inspect", str(tmp_path / name), *more, "--out", str(tmp_path / "page")]) == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1 and sentence in said[0], said
    made = cnn_jax.inspect_run(tmp_path / "two", out=tmp_path / "page", split="validation")
    names = {path.name for path in made.pictures}
    assert {"maps_Conv_0.png", "maps_Conv_1.png", "drawn.png", "reliability.png"} <= names
    Image.fromarray(np.zeros((30, 20, 3), np.uint8)).save(tmp_path / "image.png")
    made = cnn_jax.inspect_run(tmp_path / "two", [tmp_path / "image.png"], tmp_path / "page", feature="Conv_1")
    assert "reliability.png" not in {path.name for path in made.pictures}
    assert "has no test split" in made.page.read_text()
