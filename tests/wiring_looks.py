"""What a configuration does, looked at from several sides: each look gives, for each of some, named arrays.

The looks go the way that training goes: `resolve_weights` and `resolve_batch_norm`, `open_session`, its data and its
steps as the layout compiles them; `run`, `on_two_devices` and `in_processes` go through `train` itself.
"""

import functools
import hashlib
import itertools
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

import cnn_jax
from cnn_jax.config import Config, flatten, from_flat
from cnn_jax.data import DataError, eval_batches
from cnn_jax.runs.derive import resolve_batch_norm
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.session import Session, open_session, precision
from cnn_jax.runs.start.initial_state import initial_state, resolve_weights

Arrays = dict[str, np.ndarray]
# Programs that run once or twice on tiny images: the compiler's work is what a test would wait for.
QUICK = {"xla_backend_optimization_level": 0}
_REMEMBERED: list[Any] = []


def opened(config: Config) -> Session:
    """The session that `train` would open, its steps compiled in a hurry."""
    config = resolve_batch_norm(resolve_parts(config), num_devices=jax.device_count())
    session = open_session(resolve_weights(config))
    session.layout.compile = lambda step, *arrays, donate=False: session.layout.lower(
        step, *arrays, donate=donate
    ).compile(compiler_options=QUICK)
    return session


def named(tree: Any) -> Arrays:
    """The leaves of a tree of arrays, by their paths."""
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def look(function: Any) -> Any:
    """A look at one configuration, with the precision that it needs, as one at several; what it saw it remembers."""

    @functools.cache
    def at_one(config: Config) -> Arrays:
        with precision(config.model.dtype):
            return function(config)

    @functools.wraps(function)
    def at_all(configs: list[Config]) -> list[Arrays]:
        return [at_one(config) for config in configs]

    _REMEMBERED.append(at_one)
    return at_all


def forget() -> None:
    """Looks anew at everything, as where the code has changed."""
    for at_one in _REMEMBERED:
        at_one.cache_clear()


def given_state(session: Session) -> Any:
    """A state before the first step that depends on nothing but the names and shapes of its arrays.

    Kernels are of He's size, scales and variances one, all else zero; a parameter that two networks have in common
    is the same in both. Nothing is compiled for it.
    """

    def value(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        # An average starts where what it averages does: at the same name, in another part of the state.
        names = [str(getattr(key, "key", getattr(key, "name", ""))) for key in path]
        if "opt_state" in names or names[-1] not in ("kernel", "scale", "var"):
            return np.zeros(leaf.shape, leaf.dtype)
        if names[-1] != "kernel":
            return np.ones(leaf.shape, leaf.dtype)
        drawn = np.random.default_rng(zlib.crc32("/".join(names[1:]).encode())).normal(size=leaf.shape)
        return (drawn * math.sqrt(2 / math.prod(leaf.shape[:-1]))).astype(leaf.dtype)

    shapes = jax.eval_shape(session.make_state)
    return jax.device_put(jax.tree_util.tree_map_with_path(value, shapes), session.layout.shardings(shapes))


def batches(session: Session) -> Any:
    return session.training_batches(0)


def after_two_steps(config: Config) -> Any:
    session = opened(config)
    carry, step = session.carry(given_state(session)), session.compile_train_step()
    for batch in itertools.islice(batches(session), 2):
        carry, _ = step(carry, session.layout.put(batch))
    return carry["state"]


@look
def parameters(config: Config) -> Arrays:
    """The parameters after two steps."""
    return named(after_two_steps(config).params)


@look
def average(config: Config) -> Arrays:
    """What evaluation uses after two steps."""
    return named(after_two_steps(config).eval_variables)


@look
def start(config: Config) -> Arrays:
    """The parameters before the first step."""
    return named(initial_state(opened(config)).eval_variables)


@look
def stream(config: Config) -> Arrays:
    """The first three training batches."""
    found = list(itertools.islice(batches(opened(config)), 3))
    return {key: np.concatenate([batch[key] for batch in found]) for key in found[0]}


@look
def accepted(config: Config) -> Arrays:
    """Whether the data can be used."""
    try:
        opened(config)
    except DataError:
        return {"accepted": np.zeros(1)}
    return {"accepted": np.ones(1)}


def test_batch(session: Session) -> Any:
    return session.layout.put(next(eval_batches(session.dataset("test"), 16)))


@look
def logits(config: Config) -> Arrays:
    """The logits of some test images, as `predict` computes them, before the first step."""
    session = opened(config)
    variables = (given_state(session) if config.model.weights is None else initial_state(session)).eval_variables
    return {"logits": np.asarray(jax.jit(session.logits)(variables, test_batch(session)["image"]))}


@look
def evaluation(config: Config) -> Arrays:
    """The metrics of some test images before the first step."""
    session = opened(config)
    variables, batch = given_state(session).eval_variables, test_batch(session)
    return named(session.layout.compile(session.eval_step, variables, batch)(variables, batch)[0])


@look
def program(config: Config) -> Arrays:
    """The training step, lowered: for a setting of which only rounding tells."""
    session = opened(config)
    text = jax.jit(session.train_step).lower(jax.eval_shape(session.make_state), session.abstract_batch()).as_text()
    return {"program": np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)}


@look
def logits_program(config: Config) -> Arrays:
    """What evaluation computes, lowered."""
    session = opened(config)
    images = jax.ShapeDtypeStruct((2, *session.info.image_shape), np.uint8)
    text = jax.jit(session.logits).lower(session.abstract_variables(), images).as_text()
    return {"program": np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)}


def result(folder: Path) -> Arrays:
    """The state in a run's last checkpoint, and the lines of its metrics but for `time/…`."""
    steps = [int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit()]
    path, reader = folder / "checkpoints" / str(max(steps)) / "tree", ocp.PyTreeCheckpointer()
    as_numpy = jax.tree.map(  # whatever devices they lay on
        lambda _: ocp.RestoreArgs(restore_type=np.ndarray), reader.metadata(path).item_metadata.tree
    )
    tree = reader.restore(path, restore_args=as_numpy)
    found = named(tree["state"])
    for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()):
        name = f"{line.pop('split')} at {line.pop('step')}"
        for key, number in line.items():
            if isinstance(number, int | float) and not key.startswith("time/"):
                found[f"{name}: {key}"] = np.asarray(number)
    return found


@look
def run(config: Config) -> Arrays:
    """What `train` leaves in a folder: the state, and the lines of its metrics."""
    with tempfile.TemporaryDirectory() as folder:
        cnn_jax.train(config, Path(folder) / "run")
        return result(Path(folder) / "run")


def run_but_training_lines(configs: list[Config]) -> list[Arrays]:
    """As `run`, without the lines of training, which are means over as many steps as one asks for."""
    return [{name: value for name, value in found.items() if not name.startswith("train at")} for found in run(configs)]


def run_but_test_lines(configs: list[Config]) -> list[Arrays]:
    """As `run`, without the line of the test split, which may be left alone."""
    return [{name: value for name, value in found.items() if not name.startswith("test at")} for found in run(configs)]


TRAIN = (
    "import json, sys, cnn_jax, cnn_jax.config\n"
    "for folder, flat in json.loads(sys.argv[1]): cnn_jax.train(cnn_jax.config.from_flat(flat), folder)"
)


def trained_elsewhere(folder: str, devices: int, *processes: list[Config]) -> list[Arrays]:
    """What `train` leaves of some configurations, one after another in new processes; the folders are the first's."""
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    running = []
    for configs in processes:
        jobs = [(f"{folder}/{number}", flatten(config)) for number, config in enumerate(configs)]
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", TRAIN, json.dumps(jobs)],
                env=os.environ | {"XLA_FLAGS": flags},
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for process in running:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
    return [result(Path(folder) / str(number)) for number in range(len(processes[0]))]


def on_two_devices(configs: list[Config]) -> list[Arrays]:
    """As `run`, on two devices."""
    with tempfile.TemporaryDirectory() as folder:
        return trained_elsewhere(folder, 2, configs)


@look
def in_processes(config: Config) -> Arrays:
    """As `run`, of a configuration that `parallel.distributed` divides among processes; each is given its number."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        parts = {"parallel.distributed": True, "parallel.coordinator": f"127.0.0.1:{port}"}
        numbers = range(config.parallel.num_processes or 1)
        flats = [flatten(config) | parts | {"parallel.process_id": number} for number in numbers]
        return trained_elsewhere(folder, 1, *([from_flat(flat)] for flat in flats))[0]
