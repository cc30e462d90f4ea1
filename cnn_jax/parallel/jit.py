"""Data parallelism under `jax.jit`."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from .layout import Layout


class JitLayout(Layout):
    """The state on every device, each batch split over all of them.

    The compiler sees the whole batch, so a mean over it, as in BatchNorm or the loss, is one over the global batch.
    """

    def compile_train(self, step: Callable[..., Any], state: Any, batch: Mapping[str, Any]) -> Any:
        """The step under jit."""
        results = (self.shardings(state), self.replicated)
        return self.compile(jax.jit(step, donate_argnums=0, out_shardings=results).lower(state, batch))

    def lower_eval(self, step: Callable[..., Any], variables: Any, batch: Mapping[str, Any]) -> Any:
        """The step under jit."""
        return jax.jit(step, out_shardings=self.replicated).lower(variables, batch)
