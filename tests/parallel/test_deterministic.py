"""`train.deterministic`: what the compiler is told on a GPU, one in name only, and what is said where it cannot."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache
from small_network import Small

from cnn_jax.config import Config, DataConfig, ModelConfig, TrainConfig, check_types
from cnn_jax.parallel import compile as compiling
from cnn_jax.parallel import create_layout
from cnn_jax.parallel.deterministic import DETERMINISTIC, NondeterministicError, compile_deterministic
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.session import open_session

CONFIG = Config(
    model=ModelConfig(Small, conv="xla"), data=DataConfig("digits", batch_size=8), train=TrainConfig(steps=2)
)
QUICK = {"xla_backend_optimization_level": 0}


@pytest.fixture
def given(monkeypatch):
    """The options of every program that is compiled."""
    options, compile = [], jax.stages.Lowered.compile

    def recorded(lowered, compiler_options=None):
        options.append(compiler_options)
        return compile(lowered, QUICK | (compiler_options or {}))

    monkeypatch.setattr(jax.stages.Lowered, "compile", recorded)
    monkeypatch.setattr(compiling, "_COMPILED", compiling.OrderedDict())
    return options


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


@pytest.mark.parametrize(
    ("backend", "deterministic", "options"),
    [("gpu", True, DETERMINISTIC), ("gpu", False, None), ("cpu", True, None)],
)
def test_every_program_of_a_run_on_a_gpu_has_the_options(monkeypatch, given, backend, deterministic, options):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    train = dataclasses.replace(CONFIG.train, deterministic=deterministic)
    session = open_session(resolve_parts(check_types(dataclasses.replace(CONFIG, train=train))))
    for use in (session.drawn_state, session.compile_train_step, lambda: session.compiled_eval_step):
        before = len(given)
        use()
        assert given[before:] and all(each == options for each in given[before:])


def test_one_program_is_compiled_in_both_ways(gpu, given):
    for deterministic in (True, False, True):
        create_layout("jit", "xla", deterministic).compile(lambda x: x + 1, jnp.ones(1))
    assert given == [DETERMINISTIC, None]


def test_the_cache_on_disk_keeps_one_program_in_both_ways(tmp_path):
    settings = {
        "jax_compilation_cache_dir": str(tmp_path),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    lowered = jax.jit(lambda x: x + 1).lower(jnp.ones(1))
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        found = []
        for compile in (lowered.compile, lambda: compile_deterministic(lowered)):
            compile()
            found.append(len(list(tmp_path.glob("*-cache"))))
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
    assert found == [1, 2]


def test_the_options_are_some_that_the_compiler_knows():
    lowered = jax.jit(lambda x: x @ x).lower(jnp.ones((2, 2)))
    assert compile_deterministic(lowered)(jnp.ones((2, 2))).tolist() == [[2, 2], [2, 2]]


def failing(words):
    def compile(self, **keywords):
        raise jax.errors.JaxRuntimeError(words)

    return compile


def test_an_operation_without_such_a_way_is_named(monkeypatch):
    words = "UNIMPLEMENTED: HLO instruction sort.4 does not have a deterministic implementation.\nand more"
    monkeypatch.setattr(jax.stages.Lowered, "compile", failing(words))
    expected = (
        r"`train.deterministic` is True.*cpu so that.*sort.4 does not have[^\n]* Replace that part.*leave the key"
    )
    with pytest.raises(NondeterministicError, match=expected) as refused:
        compile_deterministic(jax.jit(jnp.sort).lower(jnp.ones(2)))
    assert refused.value.exit_status == 2


def test_another_failure_stays_what_it_is(monkeypatch):
    monkeypatch.setattr(jax.stages.Lowered, "compile", failing("RESOURCE_EXHAUSTED: out of memory"))
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        compile_deterministic(jax.jit(jnp.sort).lower(jnp.ones(2)))
