"""Formulations with a gradient of their own know no forward mode; whoever asks for it hears of the one that does."""

from collections.abc import Callable
from functools import wraps


def reverse_mode_only[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """The function, whose error under `jax.jvp`, `jax.linearize` or `jax.hessian` names the remedy.

    Under `jax.jit` and `jax.checkpoint` (`model.remat`) JAX differentiates the traced function out of our hands: its
    own sentence appears, without the remedy, which is the same.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if "forward-mode" not in str(error):
                raise
            raise TypeError(
                "forward-mode differentiation (jax.jvp, jax.linearize, jax.hessian) does not reach the gradients that "
                'cnn_jax writes out for CPUs; use XLA\'s own: `with cnn_jax.ops.context(conv="xla"):` around the '
                "call, or `--model.conv xla`."
            ) from None

    return call
