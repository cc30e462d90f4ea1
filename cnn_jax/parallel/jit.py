"""Data parallelism under `jax.jit`."""

from collections.abc import Callable
from typing import Any

import jax

from cnn_jax.parallel.layout import Layout


class JitLayout(Layout):
    """The state on every device, each batch split over all of them.

    The compiler sees the whole batch, so a mean over it, as in BatchNorm or the loss, is one over the global batch.
    """

    def lower(self, step: Callable[..., Any], *arrays: Any, donate: bool = False) -> jax.stages.Lowered:
        """The step under jit."""
        if not donate:
            return jax.jit(step, out_shardings=self.replicated).lower(*arrays)
        results = (self.shardings(arrays[0]), self.replicated)
        return jax.jit(step, donate_argnums=0, out_shardings=results).lower(*arrays)
