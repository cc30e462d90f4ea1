"""Where arrays lie and how the devices work together: what every strategy provides.

A layout places the state and the batches and compiles a step for them; it never changes what the step computes.
"""

import abc
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import Array, Int

from cnn_jax.parallel.compile import compile_step, compiled_once
from cnn_jax.parallel.deterministic import compile_deterministic
from cnn_jax.randomness import jit_draws

AXIS = "data"


class Layout(abc.ABC):
    """A named mesh of all devices of all processes, with one axis, over which every batch is split.

    Args:
      conv: of the steps' convolutions; with `xla`, steps are compiled without the options of `compile_step`, too.
      deterministic: on GPUs, compile by `compile_deterministic`; without effect elsewhere.
    """

    def __init__(self, conv: Literal["auto", "xla"] = "auto", deterministic: bool = False) -> None:
        self.conv = conv
        self.deterministic = deterministic and jax.default_backend() == "gpu"
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

    def placed(self, tree: Any) -> Any:
        """The shapes, dtypes and shardings of the arrays of a state, given its shapes and dtypes."""

        def place(leaf: jax.ShapeDtypeStruct, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

        return jax.tree.map(place, tree, self.shardings(tree))

    def creation(self, make_state: Callable[..., Any], *arguments: ArrayLike) -> Callable[..., Any]:
        """`make_state`, compiled for arguments such as these: its result is placed by `shardings`."""
        given = [jax.device_put(argument, self.replicated) for argument in arguments]
        shardings = self.shardings(jax.eval_shape(make_state, *given))
        lowered = jit_draws(make_state, out_shardings=shardings).lower(*given)
        compiled = self._compile(lowered, lowered.compile, "draws")
        return lambda *arguments: compiled(*(jax.device_put(argument, self.replicated) for argument in arguments))

    def create(self, make_state: Callable[..., Any], *arguments: ArrayLike) -> Any:
        """Runs `make_state` under jit, its result placed by `shardings`."""
        return self.creation(make_state, *arguments)(*arguments)

    def put(self, batch: Mapping[str, np.ndarray]) -> dict[str, Array]:
        """This process's rows of a batch, as its part of the global arrays that the compiled steps take.

        On a CPU that is one device they stay NumPy's, which a compiled step takes in a tenth of the host time.
        """
        if self.num_devices == 1 and jax.default_backend() == "cpu":
            return dict(batch)  # type: ignore[arg-type]
        if jax.process_count() == 1:  # half the host time of the general way
            return jax.device_put(dict(batch), self.split)
        return {k: jax.make_array_from_process_local_data(self.split, v) for k, v in batch.items()}

    def put_whole(self, tree: Any) -> Any:
        """Arrays that every process holds alike, as every device gets them, whole."""
        if jax.process_count() == 1:
            return jax.device_put(tree, self.replicated)
        return jax.tree.map(lambda a: jax.make_array_from_process_local_data(self.replicated, a), tree)

    def abstract(self, batch: Mapping[str, np.ndarray]) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes, dtypes and shardings of such a batch once it is put."""
        placed = self.put(batch)
        sharding = lambda a: getattr(a, "sharding", self.split)  # noqa: E731
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding(a)), placed)

    def replicated_jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function under jit whose whole result every process can read; all processes must call it alike."""
        return jax.jit(function, out_shardings=self.replicated)

    @abc.abstractmethod
    def lower(self, step: Callable[..., Any], *arrays: Any, donate: bool = False) -> jax.stages.Lowered:
        """`step`, traced for arrays such as these; what it gives back, every process can read.

        Args:
          arrays: global arrays, or their shapes with shardings: a state or variables, a batch, and what else every
            device gets whole.
          donate: the first of them is a state, or a tree with one, which comes back first, placed by `shardings`. It
            is donated, and must not be used again.
        """

    def compile(self, step: Callable[..., Any], *arrays: Any, donate: bool = False) -> jax.stages.Compiled:
        """As `lower`, and compiled, unless this process has: a function that also knows its memory."""
        lowered = self.lower(step, *arrays, donate=donate)
        compile = lowered.compile if self.conv == "xla" else partial(compile_step, lowered)
        return self._compile(lowered, compile, self.conv)

    def _compile(
        self, lowered: jax.stages.Lowered, compile: Callable[[], jax.stages.Compiled], how: str
    ) -> jax.stages.Compiled:
        if self.deterministic:
            return compiled_once(lowered, partial(compile_deterministic, lowered), "deterministic")
        return compiled_once(lowered, compile, how)

    def mean(self, tree: Any) -> Any:
        """Inside a step: the mean over devices of what each found on its own rows; nothing where all rows are seen."""
        return tree

    def row_numbers(self, count: int) -> Int[Array, "n"]:
        """Inside a step that sees `count` rows: which rows of the global batch they are."""
        return jnp.arange(count)

    def gather(self, rows: Array) -> Array:
        """Inside a step: the rows of all devices, in the order of the batch; nothing where all rows are seen."""
        return rows

    def local_rows(self, rows: Array) -> Array:
        """Inside a step: of the rows of all devices, those that this one works on; the inverse of `gather`."""
        return rows
