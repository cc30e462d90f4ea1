"""The strategies by name."""

from typing import Literal

from cnn_jax.parallel.fsdp import FsdpLayout
from cnn_jax.parallel.jit import JitLayout
from cnn_jax.parallel.layout import Layout
from cnn_jax.parallel.pmap import PmapLayout

STRATEGIES: dict[str, type[Layout]] = {"jit": JitLayout, "pmap": PmapLayout, "fsdp": FsdpLayout}


def create_layout(strategy: str, conv: Literal["auto", "xla"] = "auto", deterministic: bool = False) -> Layout:
    """The layout of a strategy, "jit", "pmap" or "fsdp", over all devices that JAX has now; the rest as in `Layout`."""
    return STRATEGIES[strategy](conv, deterministic)
