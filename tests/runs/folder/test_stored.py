"""A run folder and its identity: what is refused, what continues, and folders of version 0.1."""

import contextlib
import dataclasses
import json
import shutil
import zlib
from pathlib import Path

import pytest

from cnn_jax.config import ConfigError, flatten, identity, identity_0_1, load_experiment
from cnn_jax.runs.compare import check_data, default_directory
from cnn_jax.runs.content import NOTHING, Content
from cnn_jax.runs.folder.run import Run, RunError, diff_runs, read_run, take_run
from cnn_jax.runs.folder.stored import to_json

OLD = Path(__file__).parent / "version_0_1" / "config.json"
RECIPE = Path(__file__).parents[3] / "experiments" / "digits_lenet.py"
CONTENT = Content(
    code={"digest": "ab", "files": {"lion.py": "a1", "helper.py": "b1"}},
    data={"train": "t1", "test": "t2", "class_names": "c"},
    weights="w1",
)
MEMBERS = [
    "schema",
    "identity",
    "checksum",
    "config",
    "derived",
    "data",
    "code",
    "weights",
    "parent",
    "info",
    "record",
    "environment",
]


@pytest.fixture(scope="module")
def experiment():
    """What made the old folder: its configuration and derived values."""
    config = load_experiment(RECIPE)
    model = dataclasses.replace(config.model, options={"width": 0.125})
    config = dataclasses.replace(config, model=model, train=dataclasses.replace(config.train, steps=12))
    return config, read_run(OLD.parent).derived


@pytest.fixture
def old(tmp_path):
    """A copy of the run folder of version 0.1."""
    (tmp_path / "old").mkdir()
    shutil.copy(OLD, tmp_path / "old")
    return tmp_path / "old"


def open_and_close(directory, experiment, content=NOTHING, *, train=True, **changes):
    config = dataclasses.replace(experiment[0], **changes)
    with contextlib.closing(take_run(directory, config, experiment[1], content)) as writer:
        if train:
            writer.write_config()


def test_a_folder_says_what_it_is(tmp_path, experiment):
    open_and_close(tmp_path / "run", experiment, CONTENT)
    stored = json.loads((tmp_path / "run/config.json").read_text())
    assert list(stored) == MEMBERS
    assert stored["schema"] == 2
    assert stored["identity"] == identity(experiment[0], code="ab", data=CONTENT.data, weights="w1")
    assert read_run(tmp_path / "run").content == CONTENT
    assert stored["info"] is None  # of no data set here


@pytest.mark.parametrize(
    ("change", "row"),
    [
        ({"code": {"digest": "ac", "files": {"lion.py": "a2", "helper.py": "b1"}}}, "code: file lion.py differs"),
        ({"code": {"digest": "ac", "files": {"lion.py": "a1"}}}, "code: file helper.py counts there only"),
        ({"code": None}, "code: file lion.py counts there only"),
        ({"data": {"train": "t1", "test": "t3", "class_names": "c"}}, "data: test differs"),
        ({"data": {"train": "t1", "test": "t2", "class_names": "d"}}, "data: class names differs"),
        ({"weights": "w2"}, "weights differs"),
    ],
)
def test_another_content_is_another_experiment(tmp_path, experiment, change, row):
    open_and_close(tmp_path, experiment, CONTENT)
    before = (tmp_path / "config.json").read_bytes()
    for _ in range(2):  # the same answer the second time
        with pytest.raises(
            ConfigError, match=f"holds another experiment; give another --workdir, or none for a new folder.\n  {row}"
        ):
            open_and_close(tmp_path, experiment, dataclasses.replace(CONTENT, **change))
    assert (tmp_path / "config.json").read_bytes() == before


def test_an_experiment_file_may_be_renamed(tmp_path, experiment):
    open_and_close(tmp_path, experiment, CONTENT)
    renamed = {"digest": "ab", "files": {"tiger.py": "a1", "helper.py": "b1"}}
    open_and_close(tmp_path, experiment, dataclasses.replace(CONTENT, code=renamed))


def test_other_keys_are_another_experiment(tmp_path, experiment):
    open_and_close(tmp_path, experiment, CONTENT)
    with pytest.raises(ConfigError, match=r"\n  seed: 0 there, 3 now$"):
        open_and_close(tmp_path, experiment, CONTENT, seed=3)


def test_a_folder_is_not_changed_before_training_goes_on(tmp_path, experiment):
    open_and_close(tmp_path, experiment, CONTENT)
    stored = json.loads((tmp_path / "config.json").read_text())
    stored["environment"]["python"], stored["record"] = "2.7", ["kept"]
    del stored["checksum"]
    (tmp_path / "config.json").write_text(to_json(stored))
    before = (tmp_path / "config.json").read_bytes()
    open_and_close(tmp_path, experiment, CONTENT, train=False)
    assert (tmp_path / "config.json").read_bytes() == before
    open_and_close(tmp_path, experiment, CONTENT)
    assert read_run(tmp_path).record == ["kept"]


@pytest.mark.parametrize(
    ("member", "value"),
    [("config", "seed"), ("config", "optim.label_smoothing"), ("data", "train"), ("code", "digest"), ("weights", None)],
)
def test_a_changed_config_file_is_refused_by_all_that_read_it(tmp_path, experiment, member, value):
    open_and_close(tmp_path, experiment, CONTENT)
    stored = json.loads((tmp_path / "config.json").read_text())
    if value is None:
        stored[member] = "other"
    else:
        stored[member][value] = 0.4 if value.startswith("optim") else 7 if value == "seed" else "other"
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(RunError, match=r"config.json` was changed after it was written: .*put the file back"):
        read_run(tmp_path)
    with pytest.raises(RunError, match=r"config.json` was changed"):
        open_and_close(tmp_path, experiment, CONTENT)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"steps": 12', '"steps": 13'),
        ('"learning_rate": 0.05', '"learning_rate": 0.04'),
        ('"python": "3', '"python": "2'),
        ('"record": []', '"record": [1]'),
        ('"data.root": null', '"data.root": "/a"'),
        ('"checksum": ', '"checksum": 1'),
        ('"checksum"', '"checksun"'),
    ],
)
def test_a_change_to_what_the_identity_does_not_cover_is_refused_by_name(tmp_path, experiment, before, after):
    open_and_close(tmp_path, experiment, CONTENT)
    path = tmp_path / "config.json"
    text = path.read_text()
    assert before in text
    path.write_text(text[: text.rindex(before)] + after + text[text.rindex(before) + len(before) :])
    with pytest.raises(RunError, match=r"config.json` (is damaged, or was changed|cannot be read)"):
        read_run(tmp_path)


def test_the_checksum_is_of_the_rest_in_whatever_layout(tmp_path, experiment):
    open_and_close(tmp_path, experiment, CONTENT)
    stored = json.loads((tmp_path / "config.json").read_text())
    rest = {key: value for key, value in stored.items() if key != "checksum"}
    assert stored["checksum"] == zlib.crc32(json.dumps(rest, sort_keys=True).encode())
    (tmp_path / "config.json").write_text(json.dumps(stored, indent=4))
    assert read_run(tmp_path).content == CONTENT


@pytest.mark.parametrize("beside", ["checkpoints", "damaged"])
def test_a_config_file_that_is_gone_is_not_written_anew_over_checkpoints(tmp_path, experiment, beside):
    open_and_close(tmp_path, experiment, CONTENT)
    (tmp_path / beside / "8").mkdir(parents=True)
    (tmp_path / "config.json").unlink()
    for _ in range(2):
        with pytest.raises(RunError, match=r"config.json` is gone.*Put back a copy, or give another --workdir"):
            open_and_close(tmp_path, experiment, CONTENT)
        assert not (tmp_path / "config.json").exists()


def test_a_folder_that_was_only_made_is_begun(tmp_path, experiment):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.tmp").write_text("{")
    open_and_close(tmp_path, experiment, CONTENT)
    assert read_run(tmp_path).content == CONTENT


def test_a_newer_schema_is_refused(old):
    (old / "config.json").write_text(json.dumps(json.loads(OLD.read_text()) | {"schema": 3}))
    with pytest.raises(RunError, match=r"its schema is 3, and this version reads up to 2; use a newer cnn_jax"):
        read_run(old)


def test_ones_own_code_is_copied(tmp_path, experiment):
    (tmp_path / "helper.py").write_text("def f(): return 1\n")
    (tmp_path / "e.py").write_text("import helper\nprint(helper.f())\n" + RECIPE.read_text())
    config = load_experiment(tmp_path / "e.py")
    open_and_close(tmp_path / "run", (config, experiment[1]), Content(code=config.code.record()))
    for name in ("e.py", "helper.py"):
        assert (tmp_path / "run/code" / name).read_bytes() == (tmp_path / name).read_bytes()
    assert read_run(tmp_path / "run").content.code["files"].keys() == {"e.py", "helper.py"}


def test_version_0_1_named_its_runs_so(experiment):
    stored = json.loads(OLD.read_text())
    assert identity_0_1(stored["config"]) == stored["identity"] == "e72db2f7d45a373d"
    assert identity_0_1(flatten(experiment[0])) == "e72db2f7d45a373d"


def test_a_folder_of_version_0_1_continues_and_is_brought_up_to_date(old, experiment):
    before = (old / "config.json").read_bytes()
    assert read_run(old).schema == 1
    assert read_run(old).config.train.steps == 12
    open_and_close(old, experiment, CONTENT, train=False)
    assert (old / "config.json").read_bytes() == before
    with pytest.warns(
        UserWarning, match="made by version 0.1, which kept neither .* taken as they are now, and stored"
    ):
        open_and_close(old, experiment, CONTENT)
    assert read_run(old).content == CONTENT
    open_and_close(old, experiment, CONTENT)  # and says nothing more
    with pytest.raises(ConfigError, match="data: train differs"):
        open_and_close(old, experiment, dataclasses.replace(CONTENT, data=CONTENT.data | {"train": "t3"}))


def test_a_folder_of_version_0_1_is_compared_key_by_key(old, experiment):
    with pytest.raises(ConfigError, match=r"\n  seed: 0 there, 3 now$"):
        open_and_close(old, experiment, CONTENT, seed=3)
    stored = json.loads((old / "config.json").read_text())
    stored["config"]["seed"] = 3
    (old / "config.json").write_text(json.dumps(stored))
    with pytest.raises(RunError, match=r"config.json` was changed"):
        read_run(old)


def with_weights(experiment, name, digits):
    config = experiment[0]
    model = dataclasses.replace(config.model, weights=name, weights_sha256=digits)
    return dataclasses.replace(config, model=model), experiment[1]


def test_a_folder_of_version_0_1_began_with_its_own_weights(old, experiment):
    stored = json.loads((old / "config.json").read_text())
    stored["config"] |= {"model.weights": "a.safetensors", "model.weights_sha256": "a" * 64}
    stored["identity"] = identity_0_1(stored["config"])
    (old / "config.json").write_text(json.dumps(stored))
    before = (old / "config.json").read_bytes()
    first = r"\n  weights: a.safetensors \(SHA-256 a{16}…\) there, "
    for here, now in (
        (with_weights(experiment, "b.safetensors", "b" * 64), r"b.safetensors \(SHA-256 b{16}…\) now$"),
        (experiment, "none now$"),
    ):
        with pytest.raises(ConfigError, match=first + now):
            open_and_close(old, here, CONTENT)
    assert (old / "config.json").read_bytes() == before
    open_and_close(old, with_weights(experiment, "elsewhere/a.safetensors", "a" * 64), CONTENT, train=False)


def test_a_folder_of_version_0_1_began_without_weights(old, experiment):
    with pytest.raises(ConfigError, match=r"\n  weights: none there, b.safetensors \(SHA-256 b{16}…\) now$"):
        open_and_close(old, with_weights(experiment, "b.safetensors", "b" * 64), CONTENT)


def test_the_number_of_classes_that_the_data_set_has_may_be_written_or_not(old, experiment):
    stored = json.loads((old / "config.json").read_text())
    stored["config"]["model.num_classes"] = 10
    stored["identity"] = identity_0_1(stored["config"])
    (old / "config.json").write_text(json.dumps(stored))
    open_and_close(old, experiment, train=False)


def test_a_default_folder_of_version_0_1_is_found(tmp_path, old, experiment):
    here = Run(tmp_path, *experiment, {}, CONTENT)
    new = tmp_path / f"digits_lenet-{here.identity[:8]}"
    assert default_directory(here, "e72db2f7d45a373d") == new
    old.rename(tmp_path / "digits-lenet5-e72db2f7")
    assert default_directory(here, "e72db2f7d45a373d") == tmp_path / "digits-lenet5-e72db2f7"
    other = dataclasses.replace(here, config=dataclasses.replace(here.config, seed=1))
    assert default_directory(other, "e72db2f7d45a373d").name == f"digits_lenet-{other.identity[:8]}"


def test_a_default_folder_begins_with_the_name_and_is_found_whatever_comes_before_the_identity(tmp_path, experiment):
    here = Run(tmp_path, *experiment, {}, CONTENT)
    wanted = tmp_path / f"digits_lenet-{here.identity[:8]}"
    assert default_directory(here, "0" * 16) == wanted
    unnamed = dataclasses.replace(here, config=dataclasses.replace(here.config, name=None))
    before = tmp_path / f"digits-lenet5-{here.identity[:8]}"
    assert default_directory(unnamed, "0" * 16) == before
    open_and_close(before, experiment, CONTENT, name=None)
    assert default_directory(here, "0" * 16) == before
    open_and_close(tmp_path / f"another-{here.identity[:8]}", experiment, CONTENT, name="another")
    with pytest.raises(RunError, match=r"several folders hold this experiment: .*another-.*by --workdir"):
        default_directory(here, "0" * 16)
    open_and_close(wanted, experiment, CONTENT)
    assert default_directory(here, "0" * 16) == wanted


def test_a_default_folder_of_version_0_1_that_cannot_be_read_is_not_begun_elsewhere(tmp_path, old, experiment):
    here = Run(tmp_path, *experiment, {}, CONTENT)
    old = old.rename(tmp_path / "digits-lenet5-e72db2f7")
    (old / "config.json").write_bytes(OLD.read_bytes()[:200])
    with pytest.raises(RunError, match=r"digits-lenet5-e72db2f7/config.json` cannot be read"):
        default_directory(here, "e72db2f7d45a373d")
    (old / "checkpoints" / "8").mkdir(parents=True)
    (old / "config.json").unlink()
    with pytest.raises(RunError, match=r"digits-lenet5-e72db2f7/config.json` is gone"):
        default_directory(here, "e72db2f7d45a373d")


def test_another_data_set_is_refused_where_it_is_read(tmp_path, experiment, monkeypatch, old):
    open_and_close(tmp_path / "run", experiment, CONTENT)
    run = read_run(tmp_path / "run")
    monkeypatch.setattr("cnn_jax.runs.compare.data_now", lambda config: CONTENT.data)
    check_data(run)
    monkeypatch.setattr("cnn_jax.runs.compare.data_now", lambda config: CONTENT.data | {"train": "x"})
    with pytest.raises(RunError, match="trained on another data set of the name `digits`: train differ"):
        check_data(run)
    with pytest.warns(UserWarning, match="does not say what its data held"):
        check_data(read_run(old))
    monkeypatch.setattr("cnn_jax.runs.compare.data_now", lambda config: None)  # not prepared here
    check_data(run)


def test_differences_of_two_folders_show_their_content(tmp_path, experiment):
    open_and_close(tmp_path / "a", experiment, CONTENT)
    open_and_close(tmp_path / "b", experiment, dataclasses.replace(CONTENT, weights="w2"), seed=1)
    assert diff_runs(tmp_path / "a", tmp_path / "b") == {"seed": [0, 1], "weights": ["w1", "w2"]}
