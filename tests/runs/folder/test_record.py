"""The record of a run and the settings that are pinned while it computes."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
import warnings
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import cnn_jax
from cnn_jax.config import Config, DataConfig, ModelConfig, TrainConfig, load_experiment
from cnn_jax.native.build import Offer
from cnn_jax.runs.console.signals import Stopped
from cnn_jax.runs.derive import derive
from cnn_jax.runs.folder.record import Record
from cnn_jax.runs.folder.run import take_run
from cnn_jax.runs.folder.stored import RunError
from cnn_jax.runs.machine import environment as module
from cnn_jax.runs.machine.environment import environment, environment_changes
from cnn_jax.runs.machine.settings import precision

CONFIG = Config(
    model=ModelConfig("lenet5", num_classes=10), data=DataConfig(batch_size=64), train=TrainConfig(steps=24)
)


def entries(folder):
    return json.loads((folder / "config.json").read_text())["record"]


@contextlib.contextmanager
def start(folder, step=0, config=CONFIG):
    """A start of a run that goes on from `step`."""
    derived = derive(config, num_examples=1000, num_classes=10, num_devices=1)
    with contextlib.closing(take_run(folder, config, derived)) as writer, Record(writer, step) as record:
        yield record


def test_every_start_has_an_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["cnn-jax", "train", "my file.py"])
    with contextlib.suppress(Stopped), start(tmp_path) as record:
        record.saved(8)
        record.saved(16)
        raise Stopped(15, 16)
    with start(tmp_path, 16) as record:
        record.saved(24)
    first, second = entries(tmp_path)
    assert (first["first_step"], first["last_step"], first["ended"]) == (0, 16, "stopped")
    assert (second["first_step"], second["last_step"], second["ended"]) == (16, 24, "finished")
    assert first["command"] == "cnn-jax train 'my file.py'" and first["host"]
    assert datetime.fromisoformat(first["date"]).utcoffset() is not None
    assert list(json.loads((tmp_path / "config.json").read_text()))[-2:] == ["record", "environment"]


def test_the_entry_stands_while_the_run_goes_on(tmp_path):
    with start(tmp_path) as record:
        (entry,) = entries(tmp_path)
        assert entry["ended"] is None and entry["last_step"] == 0
        record.saved(8)
        (entry,) = entries(tmp_path)
        assert entry["ended"] is None and entry["last_step"] == 8  # as a kill would leave it


class Diverged(Exception):
    ended = "diverged"


@pytest.mark.parametrize(
    ("error", "ended"),
    [(Diverged(), "diverged"), (KeyboardInterrupt(), "stopped"), (OSError("no space"), None)],
    ids=["diverged", "Ctrl-C", "failed"],
)
def test_how_it_ended_is_noted(tmp_path, error, ended):
    with contextlib.suppress(BaseException), start(tmp_path):
        raise error
    assert entries(tmp_path)[0]["ended"] == ended


def test_seconds_are_told_apart_and_add_up(tmp_path, monkeypatch):
    clock = iter(np.arange(0.0, 100.0))  # one second from look to look
    monkeypatch.setattr("cnn_jax.runs.folder.record.time.perf_counter", lambda: float(next(clock)))
    with start(tmp_path) as record:  # looks at 0, and 1 when the entry is written
        with record.spend("evaluation"):  # 2 to 3
            pass
        with record.spend("waiting"), contextlib.suppress(ValueError):  # 4 to 5
            raise ValueError
        record.saved(8)  # 6
    seconds = entries(tmp_path)[0]["seconds"]  # 7
    assert seconds == {
        "training": 5.0,
        "compile": 0.0,
        "evaluation": 1.0,
        "saving": 0.0,
        "waiting": 1.0,
        "drawing": 0.0,
    }


def test_a_folder_that_cannot_be_written_any_more_does_not_hide_why_the_run_ended(tmp_path):
    with pytest.raises(Stopped, match="saved at step 8"), start(tmp_path) as record:
        record._writer.write_config = lambda: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        raise Stopped(15, 8)


def test_another_environment_is_a_warning_and_is_kept(tmp_path, monkeypatch):
    with contextlib.suppress(Stopped), start(tmp_path):
        raise Stopped(15, 8)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    with pytest.warns(UserWarning, match=r"bits may differ.*settings.ONEDNN_MAX_CPU_ISA None → AVX2"), start(tmp_path):
        pass
    assert entries(tmp_path)[1]["environment_changes"] == {"settings.ONEDNN_MAX_CPU_ISA": [None, "AVX2"]}
    stored = json.loads((tmp_path / "config.json").read_text())["environment"]
    assert stored["settings"]["ONEDNN_MAX_CPU_ISA"] == "AVX2"


def test_convolutions_in_cpp_that_come_or_go_are_a_change_of_bits(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_JAX_NATIVE", "0")
    with contextlib.suppress(Stopped), start(tmp_path):
        raise Stopped(15, 8)
    assert json.loads((tmp_path / "config.json").read_text())["environment"]["native"] == "none: CNN_JAX_NATIVE=0"
    monkeypatch.setattr(module, "offer", lambda: Offer("AVX2", "/usr/bin/g++", "g++ 12.2.0"))
    warning = r"bits may differ.*native none: CNN_JAX_NATIVE=0 → AVX2, g\+\+ 12.2.0"
    with pytest.warns(UserWarning, match=warning), start(tmp_path):
        pass
    assert entries(tmp_path)[1]["environment_changes"] == {"native": ["none: CNN_JAX_NATIVE=0", "AVX2, g++ 12.2.0"]}


def test_a_gpu_has_no_convolutions_in_cpp(gpu):
    assert "native" not in environment()


DETERMINISTIC = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, deterministic=True))


@pytest.fixture
def gpu(monkeypatch):
    """One H100, in name only."""
    client = SimpleNamespace(platform_version="PJRT C API\ncuda 13000")
    device = SimpleNamespace(platform="gpu", device_kind="NVIDIA H100 80GB HBM3", client=client)
    versions = {"cuda_driver": 13010, "cuda_runtime": 13000, "cudnn": 92401}
    loaded = SimpleNamespace(**{f"{name}_get_version": lambda n=number: n for name, number in versions.items()})
    answer = module._answer
    smi = lambda command: "580.65.06\n580.65.06" if command[0] == "nvidia-smi" else answer(command)  # noqa: E731
    monkeypatch.setattr(module.jax, "devices", lambda: [device])
    monkeypatch.setattr(module, "_answer", smi)
    monkeypatch.setattr(module.jax._src.lib, "cuda_versions", loaded)


def test_driver_cuda_and_cudnn_of_a_gpu_are_recorded(gpu, monkeypatch):
    names = ("device", "platform", "driver", "driver_cuda", "cuda", "cudnn")
    found = environment()
    expected = ["NVIDIA H100 80GB HBM3", "PJRT C API cuda 13000", "580.65.06", "13.1.0", "13.0.0", "9.24.1"]
    assert [found[name] for name in names] == expected
    monkeypatch.setattr(module.jax._src.lib, "cuda_versions", None)
    monkeypatch.setattr(module, "_answer", lambda command: None)
    assert [environment()[name] for name in names[2:]] == [None] * 4


def test_a_change_of_deterministic_is_a_warning_on_a_gpu(gpu, tmp_path):
    with contextlib.suppress(Stopped), start(tmp_path):
        raise Stopped(15, 8)
    warned = pytest.warns(UserWarning, match="bits may differ.*train.deterministic False → True")
    with warned, start(tmp_path, 8, DETERMINISTIC):
        pass
    assert json.loads((tmp_path / "config.json").read_text())["environment"]["train.deterministic"] is True


def test_a_change_of_deterministic_is_none_on_a_cpu(tmp_path):
    for step, config in ((0, CONFIG), (8, DETERMINISTIC)):
        with warnings.catch_warnings(), contextlib.suppress(Stopped), start(tmp_path, step, config):
            warnings.simplefilter("error")
            raise Stopped(15, 8)
    assert json.loads((tmp_path / "config.json").read_text())["config"]["train.deterministic"] is True


def test_the_same_environment_is_none(tmp_path):
    for _ in range(2):
        with warnings.catch_warnings(), start(tmp_path):
            warnings.simplefilter("error")
    assert all("environment_changes" not in entry for entry in entries(tmp_path))


def test_an_environment_of_version_0_1_is_compared_as_far_as_it_goes():
    now = environment()
    old = {"python": now["python"], "jax": "0.4.1", "git": "abc", "device": now["device"], "devices": 1}
    assert environment_changes(old, now) == {"jax": ["0.4.1", now["jax"]]}


def test_a_change_of_host_changes_no_bits():
    now = environment()
    assert environment_changes(now | {"host": "elsewhere", "processors": 99}, now) == {}


def test_versions_sources_machine_and_settings_are_recorded():
    found = environment()
    wanted = {"jax", "orbax-checkpoint", "tensorflow-datasets", "sources", "git", "host", "cpu", "cpu_flags", "device"}
    wanted |= {"jax_default_matmul_precision", "jax_default_prng_impl", "jax_threefry_partitionable", "jax_enable_x64"}
    assert wanted <= set(found)
    assert json.loads(json.dumps(found)) == found


def test_settings_of_jax_are_those_that_hold():
    before = environment()
    with jax.default_matmul_precision("bfloat16"):
        assert environment_changes(before, environment()) == {"jax_default_matmul_precision": [None, "bfloat16"]}


def test_variables_that_matter_are_recorded_and_no_secret(monkeypatch):
    for name, value in {
        "XLA_FLAGS": "--xla_dump_to=x --xla_disable_hlo_passes=y",
        "OMP_NUM_THREADS": "3",
        "JAX_DEBUG_NANS": "1",
        "JAX_MY_API_KEY": "abc",
        "NCCL_AUTH": "abc",
        "JAX_PLUGIN_URL": "https://me:abc@there",
        "XLA_EXTRA": "--token=abc",
        "JAX_COMPILATION_CACHE_DIR": "/somewhere",
        "JAX_COORDINATOR_ADDRESS": "1.2.3.4:5",
        "WANDB_API_KEY": "abc",
        "HOME": "/home/me",
    }.items():
        monkeypatch.setenv(name, value)
    found = environment()["settings"]
    assert found["XLA_FLAGS"] == "--xla_dump_to=x --xla_disable_hlo_passes=y"
    assert found["OMP_NUM_THREADS"] == "3" and found["JAX_DEBUG_NANS"] == "1"
    assert "abc" not in json.dumps(found)
    assert not {"HOME", "WANDB_API_KEY", "JAX_COMPILATION_CACHE_DIR", "JAX_COORDINATOR_ADDRESS"} & set(found)


def test_the_revision_is_of_the_experiments_repository(tmp_path):
    assert environment(tmp_path)["git"] is None
    git = ["git", "-C", tmp_path, "-c", "user.name=x", "-c", "user.email=x@y"]
    (tmp_path / "exp.py").write_text("1")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert environment(tmp_path)["git"] == head[:12]
    (tmp_path / "exp.py").write_text("2")
    assert environment(tmp_path)["git"] == head[:12] + "-dirty"


def test_edited_sources_show(tmp_path, monkeypatch):
    package = tmp_path / "cnn_jax"
    package.mkdir()
    (package / "a.py").write_text("1")
    assert {"ops", "models", "training"} <= {path.name for path in Path(cnn_jax.__path__[0]).iterdir()}  # as it is
    monkeypatch.setattr(cnn_jax, "__path__", [str(package)])
    before = environment()["sources"]
    (package / "a.py").write_text("2")
    after = environment()["sources"]
    (package / "a.py").rename(package / "b.py")
    assert len({before, after, environment()["sources"]}) == 3


def test_it_works_without_git_home_or_proc(monkeypatch):
    for name in ("HOME", "PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    read = Path.read_text

    def no_proc(path, *arguments, **keywords):
        if str(path).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return read(path, *arguments, **keywords)

    monkeypatch.setattr(Path, "read_text", no_proc)
    monkeypatch.setattr(module.platform, "processor", lambda: "")
    found = environment()
    assert found["git"] is found["cpu"] is found["cpu_flags"] is None


CPUINFO = "processor\t: 0\nmodel name\t: A B\nflags\t\t: fma smep avx2 amx_bf16 avx512f\n\nprocessor\t: 1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd sve i8mm\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n\n"


@pytest.mark.parametrize(
    ("text", "cpu", "extensions"),
    [(CPUINFO, "A B", "amx_bf16 avx2 avx512f fma"), (ARM, "0x41 0xd4f", "asimd i8mm sve")],
    ids=["x86", "ARM"],
)
def test_the_processor_and_what_it_can_are_recorded(monkeypatch, text, cpu, extensions):
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    found = module._processor()
    assert (found["cpu"], found["cpu_extensions"]) == (cpu, extensions)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text.replace("fma", "").replace("fp ", ""))
    assert module._processor()["cpu_flags"] != found["cpu_flags"]


SETTINGS = ("jax_enable_x64", "jax_default_prng_impl", "jax_threefry_partitionable", "jax_random_seed_offset")


def settings():
    return {name: getattr(jax.config, name) for name in SETTINGS}


@pytest.fixture
def other_settings():
    """The process's settings are others than those of a run, and are put back."""
    before = settings()
    others = dict(zip(SETTINGS, (True, "rbg", False, 7), strict=True))
    for name, value in others.items():
        jax.config.update(name, value)
    yield others
    for name, value in before.items():
        jax.config.update(name, value)


def test_settings_are_pinned_and_put_back(other_settings):
    with precision("float32"):
        assert settings() == dict(zip(SETTINGS, (False, "threefry2x32", True, 0), strict=True))
        with pytest.raises(ValueError, match="inside"), precision("bfloat16"):
            raise ValueError("inside")
        assert settings()["jax_default_prng_impl"] == "threefry2x32"
    assert settings() == other_settings
    with precision("float64"):
        assert settings()["jax_enable_x64"] is True
    assert settings() == other_settings


def test_contexts_of_the_callers_thread_are_set_aside_in_all_threads():
    found = []
    with jax.enable_x64(True), jax.default_prng_impl("rbg"), jax.threefry_partitionable(False):
        with precision("float32"):
            found.append(settings())
            thread = threading.Thread(target=lambda: found.append(settings()))
            thread.start()
            thread.join()
        assert settings()["jax_enable_x64"] is True
    assert found == [dict(zip(SETTINGS, (False, "threefry2x32", True, 0), strict=True))] * 2
    assert jax.config.jax_enable_x64 is False and jax.config.jax_default_prng_impl == "threefry2x32"


def test_two_threads_share_what_they_agree_on_and_else_the_second_is_refused():
    with precision("float32"):
        raised = []

        def other():
            try:
                with precision("bfloat16"):
                    raised.append(None)
                with precision("float64"):
                    pass
            except RunError as error:
                raised.append(str(error))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert raised[0] is None and "64-bit arrays" in raised[1]
    with precision("float64"):
        pass


@pytest.fixture(scope="module")
def trained(experiment, tmp_path_factory):
    """A run of three steps."""
    config = load_experiment(experiment)
    config = dataclasses.replace(config, train=TrainConfig(steps=3, checkpoint_every=2))
    folder = tmp_path_factory.mktemp("runs")
    cnn_jax.train(config, folder / "a")
    return config, folder


@pytest.mark.slow
def test_a_run_does_not_depend_on_the_processs_settings(trained):
    config, folder = trained
    before = settings()
    try:
        jax.config.update("jax_default_prng_impl", "rbg")
        jax.config.update("jax_threefry_partitionable", False)
        jax.config.update("jax_random_seed_offset", 5)
        cnn_jax.train(config, folder / "b")
        figures = cnn_jax.evaluate(folder / "a")
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
    a, b = ([json.loads(line) for line in (folder / r / "metrics.jsonl").read_text().splitlines()] for r in "ab")
    untimed = [[{k: v for k, v in line.items() if not k.startswith("time/")} for line in run] for run in (a, b)]
    assert untimed[0] == untimed[1]
    assert figures["loss"] == a[-1]["loss"]


def test_a_training_is_recorded(trained):
    _, folder = trained
    (entry,) = entries(folder / "a")
    assert (entry["first_step"], entry["last_step"], entry["ended"]) == (0, 3, "finished")
    assert entry["seconds"].pop("drawing") >= 0  # nothing is drawn here
    assert set(entry["seconds"]) == {"training", "compile", "evaluation", "saving", "waiting"}
    assert all(seconds > 0 for seconds in entry["seconds"].values())


def state_of(folder):
    """Every file below with its time of change and content."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_look_at_a_finished_run_changes_nothing(trained, monkeypatch, capsys):
    config, folder = trained
    before = state_of(folder / "a")
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", "") + " --xla_dump_hlo_as_text=false")
    cnn_jax.train(config, folder / "a")
    cnn_jax.list_runs(folder)
    assert "finished" in capsys.readouterr().err
    changed = {name for name, state in state_of(folder / "a").items() if before.get(name) != state}
    assert changed == set()
