"""Data parallelism under `jax.pmap`: one program for each device, which meet by the name of the axis."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from cnn_jax.parallel.layout import AXIS, Layout


class PmapLayout(Layout):
    """The state on every device; each runs the step on its own rows and averages with the others by axis name."""

    @property
    def batch(self) -> str:
        """The axis of the devices: a step sees the rows of one."""
        return AXIS

    def put(self, batch: Mapping[str, np.ndarray]) -> dict[str, Array]:
        """As `Layout.put`, with a leading axis of devices."""
        devices = jax.local_device_count()
        return super().put({k: v.reshape(devices, -1, *v.shape[1:]) for k, v in batch.items()})

    def lower(self, step: Callable[..., Any], *arrays: Any, donate: bool = False) -> jax.stages.Lowered:
        """The step under pmap."""
        state, batch, *whole = arrays
        # in_axes None: the state has no axis of devices, so a checkpoint does not depend on the strategy.
        donated = (0,) if donate else ()
        in_axes = (None, 0, *[None] * len(whole))
        mapped = jax.pmap(step, axis_name=AXIS, in_axes=in_axes, out_axes=None, donate_argnums=donated)
        # Across processes, pmap itself takes and returns each one's part.  What it compiles takes the global arrays
        # that the other strategies use, and is called as it is, so only the lowering sees parts.
        devices = jax.local_device_count()
        state, whole = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), (state, whole))
        part = {k: np.zeros((devices, *v.shape[1:]), v.dtype) for k, v in batch.items()}
        return mapped.lower(state, part, *whole)

    def mean(self, tree: Any) -> Any:
        """`lax.pmean`: every device holds as many rows, so a mean of means is the mean over the batch."""
        return jax.lax.pmean(tree, AXIS)

    def row_numbers(self, count: int) -> Int[Array, "n"]:
        """This device's rows."""
        return jax.lax.axis_index(AXIS) * count + jnp.arange(count)

    def gather(self, rows: Array) -> Array:
        """`lax.all_gather`."""
        return jax.lax.all_gather(rows, AXIS, tiled=True)

    def local_rows(self, rows: Array) -> Array:
        """A slice by the device's place on the axis."""
        size = rows.shape[0] // jax.lax.axis_size(AXIS)
        return jax.lax.dynamic_slice_in_dim(rows, jax.lax.axis_index(AXIS) * size, size)
