"""What all tests share: a folder of prepared data sets, and a small experiment."""

import contextlib
import os
from pathlib import Path

import pytest

# Before anything imports absl: submitit sets up logging anew when imported, which closes the handlers that exist, and
# absl's closes its stream with it, here the standard error that pytest captures.  The suite then died without a word.
with contextlib.suppress(ImportError):
    import submitit  # noqa: F401

# On a machine with a GPU the suite stays on the CPU, unless JAX_PLATFORMS says otherwise, and so do its processes.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# One cache of compiled programs for all processes of a test run; it is thrown away with the checkout's other caches.
CACHE = Path(__file__).parents[1] / ".pytest_cache" / "xla"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# What gives a first answer: of each room, files of tests that take a second or two each. Marked `quick`.
QUICK = {
    "": "architecture config download experiment_files identity names paths randomness",
    "cli": "binding jobs",
    "code": "code_changes code_text",
    "data": "batches order prefetch subset",
    "data/augmentation": "views",
    "data/decoding": "bad_files decode depth images jpeg",
    "data/sets": "idx published_counts random_folders",
    "data/store": "damage",
    "inspect": "summary_command",
    "models": "lenet",
    "modules": "conv norm",
    "ops": "context normalization",
    "parallel": "batch_norm_choice process_flags processes",
    "runs": "window",
    "runs/console": "abandon progress signals",
    "runs/folder": "events metrics_log",
    "runs/machine": "together",
    "training": "flax_layers gradient gradient_rules losses optimizer schedules",
    "weights": "digest torch_files",
}
QUICK_FILES = {
    Path(__file__).parent / room / f"test_{name}.py" for room, names in QUICK.items() for name in names.split()
}

# XLA's own convolutions: programs with oneDNN's, which `auto` compiles to, cannot be written to that cache.
LENET = """
from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig

def config():
    return Config(
        model=ModelConfig("lenet5", conv="xla"),
        data=DataConfig("digits", batch_size=64, augment=("resize(28)", "pad_crop(3)"), eval_augment=("resize(28)",)),
        optim=OptimConfig("sgd", learning_rate=0.2, warmup_fraction=0.1, ema_decay=0.9),
        train=TrainConfig(steps=24, log_every=5, eval_every=8, checkpoint_every=4),
    )
"""
# The network of `small_network`, in the file that names it.
SMALL = LENET.replace('"lenet5"', "Small").replace('"resize(28)", "pad_crop(3)"', '"pad_crop(1)",')
SMALL = SMALL.replace(', eval_augment=("resize(28)",)', "")
SMALL = (Path(__file__).parent / "small_network.py").read_text() + SMALL


def pytest_report_header(config):
    if config.args_source is not config.ArgsSource.TESTPATHS or config.option.keyword:
        return None
    chosen = config.option.markexpr
    if chosen == "quick":
        return "these tests take a minute or two on two cores; `uv run pytest` takes about fifteen"
    if chosen == "not slow and not parity":
        return "the suite takes about fifteen minutes on two cores; `-m quick` gives a first answer in one or two"
    return None


@pytest.hookimpl(tryfirst=True)  # before those that are not asked for are left out
def pytest_collection_modifyitems(items):
    if missing := sorted(str(file) for file in QUICK_FILES if not file.exists()):
        raise pytest.UsageError(f"`QUICK` in {__file__} names files that are not there: {', '.join(missing)}")
    for item in items:
        if item.path in QUICK_FILES and not item.get_closest_marker("slow"):
            item.add_marker("quick")


@pytest.fixture(scope="session", autouse=True)
def data_root(tmp_path_factory):
    """A root of prepared sets of this test run, not the user's own."""
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNN_JAX_DATA", str(root))
        yield root


@pytest.fixture(scope="session", autouse=True)
def trust(tmp_path_factory):
    """Where the package notes whose code this user trusts, in this test run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        yield


@pytest.fixture(scope="session", autouse=True)
def pictures():
    """No run of a test draws, which takes longer than its training: the pictures are empty files.

    It gives the functions that draw, for the tests that look at what they drew.
    """
    from cnn_jax.runs.console import pictures

    names = ("draw_curves", "draw_predictions")
    real = {name: getattr(pictures, name) for name in names}
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            file = f"{name.removeprefix('draw_')}.png"
            patch.setattr(pictures, name, lambda folder, *_, file=file: (folder / file).touch())
        yield real


# Here numbers and bits are the matter; also in the processes that tests start, which know nothing of the fixture below.
COMPILED_AS_FOR_USERS = {"modules", "ops", "parallel", "parity", "test_record.py", "test_registry.py"}


@pytest.fixture(scope="module", autouse=True)
def quick_compilation(request):
    """Programs that run for a moment are not optimised: a training of some steps takes two thirds of the time."""
    if COMPILED_AS_FOR_USERS & {*request.path.relative_to(Path(__file__).parent).parts}:
        yield
        return
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def experiment(tmp_path_factory):
    """An experiment file: a small network on the digits for 24 steps, with a moving average."""
    path = tmp_path_factory.mktemp("experiments") / "small.py"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="session")
def lenet(tmp_path_factory):
    """The same with LeNet-5."""
    path = tmp_path_factory.mktemp("experiments") / "lenet.py"
    path.write_text(LENET)
    return path


@pytest.fixture
def untrained(monkeypatch):
    """A training ends before its first step, with its folder made: for tests of what stands there then."""
    from cnn_jax.runs import trainer
    from cnn_jax.runs.events import Finished, Result

    def run_events(session, writer, stop, **_):
        yield Finished(Result(writer.run.directory, session.derived.steps, None))

    monkeypatch.setattr(trainer, "run_events", run_events)
