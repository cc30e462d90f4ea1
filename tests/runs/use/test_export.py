"""A run as one zip: it computes the same without this package, and a zip of a stranger is read without trust."""

import contextlib
import dataclasses
import functools
import io
import json
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnn_jax import export, load_experiment, open_run, train
from cnn_jax.cli import main
from cnn_jax.models import MODELS, abstract_variables, create_model
from cnn_jax.ops import context
from cnn_jax.runs import ExportError, trainer
from cnn_jax.runs.events import Finished, Result
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.folder.stored import read_run
from cnn_jax.runs.use.about import About
from cnn_jax.runs.use.export import PLATFORMS
from cnn_jax.runs.use.exported import read_export, read_program

ROOT = Path(__file__).parents[3]
EXPERIMENT = """
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnn_jax import Config, DataConfig, ModelConfig
from cnn_jax.modules import BatchNorm, Conv
from cnn_jax.ops import avg_pool, max_pool


class Pooled(nn.Module):
    num_classes: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, *, train):
        full = {"param_dtype": jnp.promote_types(self.dtype, jnp.float32)}
        x = nn.relu(BatchNorm(**full)(Conv(6, 3, dtype=self.dtype, **full)(x), train=train))
        x = avg_pool(max_pool(x, 3, 2, 1), 2)
        x = nn.Dense(self.num_classes, dtype=self.dtype, **full)(x.reshape(x.shape[0], -1))
        return x.astype(full["param_dtype"])


class Crowd(Pooled):
    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Dense(self.num_classes)(x.reshape(len(x), -1))
        return x - x.mean(0)


def config():
    data = DataConfig("digits", augment=("pad_crop(1)",), eval_augment=("resize(14)",), eval_views="flip()")
    return Config(model=ModelConfig(Pooled, conv="xla"), data=data)
"""


def drawn(session, writer, stop, **_):
    """In place of a training: a checkpoint of random numbers, BatchNorm's averages among them."""
    state, rng = session.drawn_state(), np.random.default_rng(0)
    draw = lambda a: jnp.asarray(np.abs(np.asarray(a) + rng.normal(0, 0.2, a.shape)), a.dtype)  # noqa: E731
    state = dataclasses.replace(state, batch_stats=jax.tree.map(draw, state.batch_stats))
    folder = writer.run.directory
    with contextlib.closing(Checkpoints(writer.run.checkpoints, identity=writer.run.identity)) as checkpoints:
        checkpoints.save(0, session.carry(state))
    yield Finished(Result(folder, 0, None))


@pytest.fixture(scope="module")
def make_run(tmp_path_factory):
    """Makes a run of the experiment above, with other values."""
    folder = tmp_path_factory.mktemp("runs")

    def make(name, text=EXPERIMENT, **changes):
        (folder / name).mkdir()
        (folder / name / "e.py").write_text(text)
        config = load_experiment(folder / name / "e.py")
        config = dataclasses.replace(config, model=dataclasses.replace(config.model, **changes))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trainer, "run_events", drawn)
            return train(config, folder / name / "run").run

    return make


@pytest.fixture(scope="module")
def exports(make_run, tmp_path_factory):
    """Of a dtype: a run, its export, and what `export` said of it; made when it is first asked for."""
    folder = tmp_path_factory.mktemp("zips")

    @functools.cache
    def made(dtype):
        text = EXPERIMENT
        if dtype == "float64":  # images are scaled in float32 whatever the network computes in
            text = text.replace('eval_augment=("resize(14)",), ', "")
        if dtype == "float32":  # one network that asks for the number of images
            text = text.replace("x.shape[0], -1", "len(x), -1")
        run, file = make_run(dtype, text, dtype=dtype), folder / f"{dtype}.zip"
        return run, file, export(run, file)

    return made


@pytest.fixture(scope="module")
def exported(exports):
    return exports("float32")[1]


def ten_lines():
    """The program in experiments/README.md that runs an export."""
    text = (ROOT / "experiments/README.md").read_text()
    return next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "program.bin" in block)


# As the run's own logits are rounded: sums in another order. In half precision a rounding may fall to the other side.
TOLERANCE = {"float32": 1e-5, "float64": 1e-13, "bfloat16": 2**-7, "float16": 2**-10}


@pytest.mark.parametrize(
    "dtypes", [("float32", "bfloat16"), pytest.param(("float16", "float64"), marks=pytest.mark.slow)], ids="-".join
)
def test_ten_lines_without_the_package_compute_the_same(exports, tmp_path, dtypes):
    lines, wanted = ten_lines(), {}
    assert len([line for line in lines.splitlines() if line]) <= 10
    code = "import sys\nfor name in ('cnn_jax', 'flax'):\n    sys.modules[name] = None\n"
    for dtype in dtypes:
        run, file, figures = exports(dtype)
        assert figures["difference"] <= TOLERANCE[dtype]
        opened = open_run(run)
        images = opened.dataset("test").images(np.arange(64))
        wanted[dtype] = np.asarray(opened.logits(opened.variables(), images))
        for count in (1, 64):
            np.save(tmp_path / f"images{count}.npy", images[:count])
            code += lines.replace("lenet.zip", str(file)).replace("images.npy", f"images{count}.npy")
            code += f"np.save('{dtype}{count}.npy', logits)\n"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    for dtype, logits in wanted.items():
        for count in (1, 64):
            found = np.load(tmp_path / f"{dtype}{count}.npy")
            assert found.dtype == logits.dtype and found.shape == (count, 10)
            assert np.abs(found - logits[:count]).max() <= TOLERANCE[dtype] * np.abs(logits).max(), (dtype, count)
            assert np.array_equal(found.argmax(1), logits[:count].argmax(1))


def test_it_says_how_images_come_to_its_size_and_what_its_outputs_mean(exports):
    run, file, _ = exports("bfloat16")
    about = json.loads(zipfile.ZipFile(file).read("about.json"))
    assert about["format"] == 1 and about["dtype"] == "bfloat16" and about["network"] == "Pooled"
    assert about["classes"] == [str(digit) for digit in range(10)]
    assert about["image"]["shape"] == [8, 8, 1] and about["image"]["interpolation"] == "bilinear"
    assert about["inside"]["eval_augment"] == ["resize(14)"] and about["inside"]["eval_views"] == "flip()"
    assert about["run"]["identity"] == read_run(run).identity and about["run"]["step"] == 0


def test_a_network_whose_images_see_each_other_is_refused(make_run, tmp_path):
    run = make_run("crowd", EXPERIMENT.replace("ModelConfig(Pooled", "ModelConfig(Crowd"))
    with pytest.raises(ExportError, match=r"its logits are others than in a batch .* must not see the others"):
        export(run, tmp_path / "a.zip")
    assert not [*tmp_path.iterdir()]


def test_the_command_writes_the_same_bytes_again_which_name_no_file_of_this_machine(exports, tmp_path, capsys):
    run, file, figures = exports("float32")
    assert main(["export", str(run), str(tmp_path / "a.zip"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {**figures, "file": str(tmp_path / "a.zip")} and "cpu, cuda, tpu" in err
    assert (tmp_path / "a.zip").read_bytes() == file.read_bytes()
    assert b".py" not in zipfile.ZipFile(file).read("program.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize(("name", "reason"), [("a.pb", "is written as .zip, got"), ("b/a.zip", "cannot be written")])
def test_another_file_is_refused_before_any_work(exports, tmp_path, capsys, name, reason):
    assert main(["export", str(exports("float32")[0]), str(tmp_path / name)]) == 2
    assert reason in capsys.readouterr().err


@pytest.fixture
def photos(tmp_path):
    """Images of several sizes, in colour and gray, and one file that is none."""
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    for number, shape in enumerate([(8, 8), (30, 20, 3), (9, 40)]):
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / f"{number}.png")
    (folder / "text.png").write_text("no image")
    return folder


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_predict_says_of_an_export_what_it_says_of_the_run(exports, photos, capsys, dtype):
    run, file, _ = exports(dtype)
    said = []
    for source in (run, file):
        assert main(["predict", str(source), str(photos), "--top", "10", "--json"]) == 1
        out, err = capsys.readouterr()
        assert "text.png is not an image" in err
        said.append(json.loads(out.splitlines()[-1])["predictions"])
    assert [row["image"] for row in said[0]] == [row["image"] for row in said[1]] and len(said[0]) == 3
    assert [row["classes"] for row in said[0]] == [row["classes"] for row in said[1]]
    for ours, theirs in zip(*said, strict=True):
        np.testing.assert_allclose(theirs["probabilities"], ours["probabilities"], atol=1e-5)


def test_prediction_of_an_export_needs_no_code_and_takes_no_step(exports, photos, tmp_path, monkeypatch, capsys):
    file, image = exports("float32")[1], str(photos / "0.png")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))  # of a user who trusts nothing
    assert main(["predict", str(file), image]) == 0
    for words in (["--step", "best"], ["--trust-code"]):
        assert main(["predict", str(file), image, *words]) == 2
        assert f"`{words[0]}` has no effect" in capsys.readouterr().err
    assert main(["predict", str(tmp_path / "none.zip"), image]) == 1
    assert "none.zip`: No such file" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["alexnet_paper", "googlenet_paper", "inception_v3", "plain20_cifar", "resnet50_v2", "vgg11_bn", "wrn16_8"]
)
def test_a_network_of_every_family_is_traced_as_a_whole(name):
    entry, model = MODELS[name], create_model(name)
    (batch,) = jax.export.symbolic_shape("b")

    def logits(variables, images):
        with context(conv="xla"):
            return model.apply(variables, images, train=False)

    images = jax.ShapeDtypeStruct((batch, *entry.image_shape), jnp.float32)
    program = jax.export.export(jax.jit(logits), platforms=PLATFORMS)(
        abstract_variables(model, entry.image_shape), images
    )
    assert program.out_avals[0].shape == (batch, entry.num_classes)
    read_program(program.serialize(), About(name, "float32", (), entry.image_shape, None, "bilinear"))


def npy(array, **how):
    file = io.BytesIO()
    np.save(file, array, **how)
    return file.getvalue()


def changed(path, out, changes, compression=zipfile.ZIP_STORED):
    """The zip with other parts; None leaves one out."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", compression) as new:
        parts = {name: old.read(name) for name in old.namelist()} | changes
        for name, content in parts.items():
            if content is not None:
                new.writestr(name, content)
    return out


BIAS, KERNEL = "weights/params/Dense_0/bias.npy", "weights/params/Dense_0/kernel.npy"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 2}, "its format is 2, and this version reads 1; use a newer cnn_jax"),
        ({"format": "1"}, "is no file that `cnn-jax export` wrote"),
        ({"classes": ["a", "b"]}, "has 10 outputs, and its about.json names 2 classes"),
        ({"image": {}}, "about.json cannot be read"),
        ({"image.shape": [9, 8, 1]}, "takes images uint8.*, and its about.json says \\(9, 8, 1\\)"),
        ({"image.shape": [60000, 60000, 3]}, "is more than 16,777,216 pixels"),
        ({"image.scaled": "somehow"}, "about.json cannot be read"),
        ({"program.bin": b"MLIR" * 100}, "of jax 0.*, cannot be read by jax"),
        ({"program.bin": None}, "holds no program.bin"),
        ({BIAS: None}, "takes other weights than it holds"),
        ({"weights/more.npy": npy(np.zeros(1))}, "takes other weights than it holds"),
        ({BIAS: npy(np.zeros(10, np.float64))}, "is float64 \\(10,\\), and the program takes float32\\[10\\]"),
        ({BIAS: npy(np.zeros(10, np.float32))[:-4]}, "is float32 \\(10,\\), and the program takes float32\\[10\\]"),
        ({BIAS: npy(np.array([None] * 10), allow_pickle=True)}, "is object \\(10,\\), and"),
        ({BIAS: pickle.dumps(np.zeros(10))}, "no complete zip that"),
        ({BIAS: npy(np.zeros(10, np.float32)).replace(b"'descr'", b"(((((((")}, "no complete zip that"),
        ({"about.json": b"{"}, "about.json cannot be read"),
        ({"about.json": b"[" * 100_000}, "about.json cannot be read"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(map(str, value)).replace("/", "."),
)
def test_a_zip_whose_parts_do_not_fit_is_refused(exported, tmp_path, changes, reason):
    about = json.loads(zipfile.ZipFile(exported).read("about.json"))
    for key, value in changes.items():
        section, _, inner = key.rpartition(".")
        if key in about:
            changes = {"about.json": json.dumps({**about, key: value})}
        elif section == "image":
            changes = {"about.json": json.dumps({**about, "image": {**about["image"], inner: value}})}
    with pytest.raises(ExportError, match=reason):
        read_export(changed(exported, tmp_path / "a.zip", changes))


def test_no_more_is_unpacked_than_the_file_is_long(exported, tmp_path):
    bomb = changed(exported, tmp_path / "a.zip", {KERNEL: bytes(10**7)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ExportError, match="compressed or encrypted"):
        read_export(bomb)
    with zipfile.ZipFile(exported) as file:
        offset = file.getinfo(KERNEL).header_offset
    content = bytearray(exported.read_bytes())
    content[offset + 100] ^= 1
    (tmp_path / "b.zip").write_bytes(content)
    with pytest.raises(ExportError, match="no complete zip"):
        read_export(tmp_path / "b.zip")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "a.zip", "a") as file:
        file.writestr("about.json", b"{}")
    with pytest.raises(ExportError, match="compressed"):
        read_export(tmp_path / "a.zip")


@pytest.mark.filterwarnings("ignore")
def test_a_program_that_calls_what_is_no_part_of_it_is_refused(exported, tmp_path):
    call = jax.jit(lambda images: jnp.linalg.cholesky(images))
    program = jax.export.export(call)(jax.ShapeDtypeStruct((3, 3), jnp.float32)).serialize()
    with pytest.raises(ExportError, match=r"its program calls what is no part of it: .*potrf"):
        read_export(changed(exported, tmp_path / "a.zip", {"program.bin": bytes(program)}))


@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_a_zip_that_is_cut_short_is_refused(exported, tmp_path, share):
    content = exported.read_bytes()
    (tmp_path / "a.zip").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ExportError, match="is no complete zip that `cnn-jax export` wrote"):
        read_export(tmp_path / "a.zip")
