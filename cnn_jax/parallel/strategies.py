"""The strategies by name."""

from .fsdp import FsdpLayout
from .jit import JitLayout
from .layout import Layout
from .pmap import PmapLayout

STRATEGIES: dict[str, type[Layout]] = {"jit": JitLayout, "pmap": PmapLayout, "fsdp": FsdpLayout}


def create_layout(strategy: str, *, stock: bool = False) -> Layout:
    """The layout of a strategy, "jit", "pmap" or "fsdp", over all devices that JAX has now; `stock` as in `Layout`."""
    return STRATEGIES[strategy](stock=stock)
