"""Fully sharded data parallelism: parameters and optimiser state cut into pieces, one for each device."""

import math
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from cnn_jax.parallel.jit import JitLayout
from cnn_jax.parallel.layout import AXIS

# Elements. A smaller array (a bias, BatchNorm's scale) stays whole on every device: a message of its own would cost
# more than the memory is worth.  Untuned.
SMALLEST_SHARDED = 1024


class FsdpLayout(JitLayout):
    """As `JitLayout`, with each large array of the state sharded (Rajbhandari et al. 2020, "ZeRO", stage 3).

    The compiler gathers a parameter where a layer needs it, and each device updates its own piece only.
    """

    def shardings(self, tree: Any) -> Any:
        """Each array split along its longest axis that the devices divide."""
        return jax.tree.map(lambda a: NamedSharding(self.split.mesh, self._spec(a.shape)), tree)

    def _spec(self, shape: tuple[int, ...]) -> PartitionSpec:
        fitting = [axis for axis, size in enumerate(shape) if size % self.num_devices == 0]
        if math.prod(shape) < SMALLEST_SHARDED or not fitting:
            return PartitionSpec()
        longest = max(fitting, key=lambda axis: shape[axis])
        return PartitionSpec(*[None] * longest, AXIS)
