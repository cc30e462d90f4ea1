"""Where arrays lie: data parallelism over a named mesh of all devices.

A layout places the state and the batches and compiles a step for them; it never changes what the step computes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array


class JitLayout:
    """The state on every device, each batch split over all of them, the step under `jax.jit`.

    The compiler sees the whole batch, so a mean over it, as in BatchNorm or the loss, is one over the global batch.
    """

    def __init__(self) -> None:
        # Auto axes: since jax 0.9 make_mesh defaults to Explicit ones, under which nn.Dropout raises.
        mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
        self.replicated = NamedSharding(mesh, PartitionSpec())
        self.split = NamedSharding(mesh, PartitionSpec("data"))

    @property
    def num_devices(self) -> int:
        """Over all processes."""
        return jax.device_count()

    def rows(self, batch_size: int) -> slice:
        """The rows of a global batch that this process reads."""
        size = batch_size // jax.process_count()
        return slice(jax.process_index() * size, (jax.process_index() + 1) * size)

    def create(self, make_state: Callable[[], Any]) -> Any:
        """Runs `make_state` under jit, its result on every device."""
        return jax.jit(make_state, out_shardings=self.replicated)()

    def put(self, batch: Mapping[str, np.ndarray]) -> dict[str, Array]:
        """This process's rows of a batch, as its part of the global arrays."""
        if jax.process_count() == 1:  # half the host time of the general way
            return jax.device_put(dict(batch), self.split)
        return {k: jax.make_array_from_process_local_data(self.split, v) for k, v in batch.items()}

    def compile_train(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """The step under jit; the state given to it is donated and must not be used again."""
        return jax.jit(step, donate_argnums=0)

    def compile_eval(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """The step under jit."""
        return jax.jit(step)
