import jax
import jax.numpy as jnp
import pytest

from cnn_jax.ops import Context, context, conv2d, current


def test_the_context_is_read_while_tracing_and_jit_traces_again():
    seen = []

    @jax.jit
    def f(x):
        seen.append(current().conv)
        return x

    f(jnp.ones(1))
    with context(conv="xla"):
        f(jnp.ones(1))
        f(jnp.ones(1))
    f(jnp.ones(1))
    assert seen == ["auto", "xla"]


def test_a_block_within_changes_what_it_names():
    with context(conv="xla", ghost_batch=4):
        with context(ghost_batch=None):
            assert current() == Context(conv="xla")
        with context(Context(frozen_norm=True)):
            assert current() == Context(frozen_norm=True)
    assert current() == Context()


@pytest.mark.parametrize("precision", ["high", "highest"])
def test_precision_holds_within_its_block_and_no_further(precision):
    x, k = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 2))
    f = jax.grad(lambda k: conv2d(x, k).sum())

    def text():
        return jax.jit(lambda k: f(k)).lower(k).as_text()

    with context(precision=precision):
        assert precision.upper() in text()
        with context(precision="default"):
            assert precision.upper() not in text()
    assert precision.upper() not in text()


def test_a_context_without_a_platform_has_that_of_the_block_around_it():
    with context(platform="tpu"), context(Context(conv="xla")):
        assert current().platform == "tpu" and not current().on_cpu
    assert current().on_cpu == (jax.default_backend() == "cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv": "fast"}, "`conv` must be one of auto, xla, im2col, matmul, got 'fast'"),
        ({"platform": "gpu"}, "`platform` must be one of cpu, cuda, rocm, tpu, got 'gpu'"),
        ({"precision": "low"}, "`precision` must be one of default, high, highest, got 'low'"),
        ({"ghost_batch": 0}, "`ghost_batch` must be positive, or None for the whole batch, got 0"),
    ],
)
def test_other_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        context(**changes)
