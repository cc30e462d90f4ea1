"""Programs for a GPU that give equal bits every time, in every process."""

from typing import Any

import jax

# By the first two, a program has only kernels that give equal bits every time; and of those that could compute a
# convolution or a product, XLA takes the first that compiles. Otherwise it takes the one that is fastest by the clock
# when it compiles, another in another process (xla/service/gpu/autotuning/config_assigner_pass.cc, as in jaxlib 0.11.2
# and 0.12.0.1). It would still take what was found by the clock before: for other programs of this process, which the
# third option keeps in another store, or for another process, in the folder that JAX gives it beside its compilation
# cache, which the fourth takes away.
DETERMINISTIC: dict[str, Any] = {
    "xla_gpu_deterministic_ops": True,
    "xla_gpu_exclude_nondeterministic_ops": True,
    "xla_gpu_use_new_autotune_cache_format": True,
    "xla_gpu_per_fusion_autotune_cache_dir": "",
}

# What XLA says of an operation for which it has no kernel then; the second, where it has others.
_NO_KERNEL = ("determinis", "no supported config found")


class NondeterministicError(ValueError):
    """A program that was to give equal bits every time, and has an operation that this device cannot compute so."""

    exit_status = 2


def compile_deterministic(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """A lowered program, compiled so that a GPU gives equal bits every time; its speed may be less.

    Raises:
      NondeterministicError: when XLA knows no such way for an operation of it.
    """
    try:
        return lowered.compile(compiler_options=DETERMINISTIC)
    except jax.errors.JaxRuntimeError as error:
        if not any(words in str(error).lower() for words in _NO_KERNEL):
            raise
        why, device = str(error).splitlines()[0].rstrip("."), jax.devices()[0].device_kind
        raise NondeterministicError(
            f"`train.deterministic` is True, and XLA cannot compute a part of this program on {device} so that it "
            f"gives equal bits every time: {why}. Replace that part, if it is your own, or leave the key out."
        ) from error
