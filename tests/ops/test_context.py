import jax
import jax.numpy as jnp
import pytest

from cnn_jax.ops import Context, context, current


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv": "fast"}, "`conv` must be one of auto, xla, im2col, matmul, got 'fast'"),
        ({"ghost_batch": 0}, "`ghost_batch` must be positive, or None for the whole batch, got 0"),
    ],
)
def test_other_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        context(**changes)
