"""Where arrays lie and how the devices work together: what every strategy provides.

A layout places the state and the batches and compiles a step for them; it never changes what the step computes.
"""

import abc
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Int

from .compile import compile_step

AXIS = "data"


class Layout(abc.ABC):
    """A named mesh of all devices of all processes, with one axis, over which every batch is split.

    Args:
      stock: compile steps as XLA does by itself, without the options of `compile_step`.
    """

    def __init__(self, *, stock: bool = False) -> None:
        self.compile: Callable[[Any], Any] = jax.stages.Lowered.compile if stock else compile_step
        # Auto axes: since jax 0.9 make_mesh defaults to Explicit ones, under which nn.Dropout raises.
        mesh = jax.make_mesh((jax.device_count(),), (AXIS,), axis_types=(AxisType.Auto,))
        self.replicated = NamedSharding(mesh, PartitionSpec())
        self.split = NamedSharding(mesh, PartitionSpec(AXIS))

    @property
    def batch(self) -> NamedSharding | str | None:
        """Where the rows of a batch are, as `cnn_jax.ops.Context` wants it said inside a step."""
        return self.split if self.num_devices > 1 else None

    @property
    def num_devices(self) -> int:
        """Over all processes."""
        return jax.device_count()

    def rows(self, batch_size: int) -> slice:
        """The rows of a global batch that this process reads."""
        size = batch_size // jax.process_count()
        return slice(jax.process_index() * size, (jax.process_index() + 1) * size)

    def shardings(self, tree: Any) -> Any:
        """Where each array of a state lies; by default on every device."""
        return jax.tree.map(lambda _: self.replicated, tree)

    def create(self, make_state: Callable[[], Any]) -> Any:
        """Runs `make_state` under jit, its result placed by `shardings`."""
        # At full optimisation, LLVM compiles each drawing of random numbers for a second or two on a CPU, 36 s for
        # resnet20; at level 1 for a tenth of a second.
        fast = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
        shardings = self.shardings(jax.eval_shape(make_state))
        return jax.jit(make_state, out_shardings=shardings, compiler_options=fast)()

    def put(self, batch: Mapping[str, np.ndarray]) -> dict[str, Array]:
        """This process's rows of a batch, as its part of the global arrays that the compiled steps take."""
        if jax.process_count() == 1:  # half the host time of the general way
            return jax.device_put(dict(batch), self.split)
        return {k: jax.make_array_from_process_local_data(self.split, v) for k, v in batch.items()}

    def everywhere(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function under jit whose whole result every process can read; all processes must call it alike."""
        return jax.jit(function, out_shardings=self.replicated)

    @abc.abstractmethod
    def compile_train(self, step: Callable[..., Any], state: Any, batch: Mapping[str, Any]) -> Any:
        """`step(state, batch) -> (state, metrics)`, compiled ahead of its first call for arrays such as these.

        Args:
          state, batch: global arrays, or their shapes with shardings.

        Returns:
          A `jax.stages.Compiled`: a function that also knows its memory.  It donates the state, which must not be used
          again.
        """

    def compile_eval(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """`step(variables, batch) -> metrics`, compiled at its first call; every process can read the metrics."""
        compiled: list[Any] = []

        def run(variables: Any, batch: Mapping[str, Array]) -> Any:
            if not compiled:
                compiled.append(self.compile(self.lower_eval(step, variables, batch)))
            return compiled[0](variables, batch)

        return run

    @abc.abstractmethod
    def lower_eval(self, step: Callable[..., Any], variables: Any, batch: Mapping[str, Any]) -> Any:
        """`step`, traced for arrays such as these, its metrics on every device."""

    def mean(self, tree: Any) -> Any:
        """Inside a step: the mean over devices of what each found on its own rows; nothing where all rows are seen."""
        return tree

    def row_numbers(self, count: int) -> Int[Array, "n"]:
        """Inside a step that sees `count` rows: which rows of the global batch they are."""
        return jnp.arange(count)

    def gather(self, rows: Array) -> Array:
        """Inside a step: the rows of all devices, in the order of the batch; nothing where all rows are seen."""
        return rows

    def own(self, rows: Array) -> Array:
        """Inside a step: of the rows of all devices, those that this one works on; the inverse of `gather`."""
        return rows
