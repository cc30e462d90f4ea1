"""The layers of a network, read off the program that JAX traces from it.

Nothing is declared twice: a row stands for a convolution, a matrix product, a pooling or a normalisation that the
network really computes. Which parameters enter tells its name; windows and strides tell how much of the image it sees.
"""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from cnn_jax.ops import context


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer, for one image.

    Args:
      name: path of its parameters, or what it does and a number.
      kind: conv, dense, norm, max_pool, avg_pool or global_avg_pool.
      output_shape: height, width, channels; or units.
      kernel: shape of its kernel, or its window; empty for a normalisation.
      parameters: number of parameters (running averages are none).
      macs: multiplications with additions of convolutions and dense layers; the rest is customarily not counted.
      activation_bytes: memory of what it puts out.
      receptive_field: height and width in pixels of what one of its outputs sees; may exceed the image.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    kernel: tuple[int, ...]
    parameters: int
    macs: int
    activation_bytes: int
    receptive_field: tuple[int, int]

    @property
    def flops(self) -> int:
        """Floating-point operations: a multiplication and an addition for each MAC."""
        return 2 * self.macs


@dataclasses.dataclass(frozen=True)
class View:
    """What one element of a map sees of the image, as height and width in pixels.

    Attributes:
      size: of what it sees; may exceed the image.
      step: from what it sees to what its neighbour sees.
      start: where that of the first element begins; below zero where it begins in the padding.
      whole: whether each element sees every place of some map before it, so that all see the same.
    """

    size: tuple[int, int] = (1, 1)
    step: tuple[int, int] = (1, 1)
    start: tuple[int, int] = (0, 0)
    whole: bool = False

    def through(
        self, window: tuple[int, int], strides: tuple[int, int] = (1, 1), before: tuple[int, int] = (0, 0)
    ) -> "View":
        """The same after a window that slides over the map, which `before` elements precede: of padding, or cut off."""
        size = [s + (w - 1) * d for s, w, d in zip(self.size, window, self.step, strict=True)]
        step = [d * s for d, s in zip(self.step, strides, strict=True)]
        start = [s - int(b) * d for s, b, d in zip(self.start, before, self.step, strict=True)]
        return View((size[0], size[1]), (step[0], step[1]), (start[0], start[1]), self.whole)

    def beside(self, other: "View") -> "View":
        """What an element sees that is made of one of each map."""
        start = [min(pair) for pair in zip(self.start, other.start, strict=True)]
        ends = [[s + n for s, n in zip(view.start, view.size, strict=True)] for view in (self, other)]
        size = [max(pair) - s for pair, s in zip(zip(*ends, strict=True), start, strict=True)]
        step = [max(pair) for pair in zip(self.step, other.step, strict=True)]
        return View((size[0], size[1]), (step[0], step[1]), (start[0], start[1]), self.whole or other.whole)


def layers(model: nn.Module, variables: dict[str, Any], image_shape: tuple[int, int, int]) -> list[Layer]:
    """The layers that an image passes in evaluation, in the order of computation.

    Args:
      model: from `create_model`.
      variables: its variables, or their shapes (`abstract_variables`).
      image_shape: height, width, channels.
    """
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with context(conv="xla"):
        program = jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(variables, images)
    names: list[str] = []
    counts: dict[str, int] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        module = "/".join(key.key for key in path[1:-1])
        names.append(module)
        counts[module] = counts.get(module, 0) + (math.prod(leaf.shape) if path[0].key == "params" else 0)
    walk = _Walk(counts)
    walk.follow(program.jaxpr, [*names, View()])
    return walk.rows


def view(program: Jaxpr) -> View:
    """What an element of a program's one result sees of its last argument, images; the others are parameters."""
    walk = _Walk({})
    (found,) = walk.follow(program, ["parameters"] * (len(program.invars) - 1) + [View()])
    return found


class _Walk:
    """Follows a program; knows of each value which module's parameters it is made of, or what it sees of the image."""

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts
        self.rows: list[Layer] = []
        self.seen: set[str] = set()

    def follow(self, program: Jaxpr, inputs: list[Any]) -> list[Any]:
        known = dict(zip(program.invars, inputs, strict=True))
        for equation in program.eqns:
            values = [None if isinstance(v, Literal) else known.get(v) for v in equation.invars]
            inner = [p for p in equation.params.values() if isinstance(p, ClosedJaxpr | Jaxpr)]
            if inner:
                outputs = self.follow(inner[0].jaxpr if isinstance(inner[0], ClosedJaxpr) else inner[0], values)
            else:
                outputs = [self.apply(equation, values)] * len(equation.outvars)
            known |= zip(equation.outvars, outputs, strict=True)
        return [None if isinstance(v, Literal) else known.get(v) for v in program.outvars]

    def apply(self, equation: Any, values: list[Any]) -> Any:
        """What the result of one operation is made of; adds a row if it is a layer."""
        views = [v for v in values if isinstance(v, View)]
        modules = [v for v in values if isinstance(v, str)]
        if not views:
            return modules[0] if modules else None
        view = views[0]
        for other in views[1:]:
            view = view.beside(other)
        kind, params = equation.primitive.name, equation.params
        before, after = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
        if kind == "conv_general_dilated":
            *taps, inputs, _ = kernel = self._kernel_shape(equation)
            dilated = [(t - 1) * d + 1 for t, d in zip(taps, params["rhs_dilation"], strict=True)]
            (top, _), (left, _) = params["padding"]
            view = view.through((dilated[0], dilated[1]), params["window_strides"], (top, left))
            return self.row("conv", equation, view, kernel, modules, math.prod(after) * math.prod(taps) * inputs)
        if kind == "dot_general" and modules:
            kernel = equation.invars[1].aval.shape
            return self.row("dense", equation, view, kernel, modules, math.prod(kernel))
        if kind in ("reduce_window_max", "reduce_window_sum") and math.prod(params["window_dimensions"][1:3]) > 1:
            window = params["window_dimensions"][1:3]
            (top, _), (left, _) = params["padding"][1:3]
            view = view.through(window, params["window_strides"][1:3], (top, left))
            return self.row("max_pool" if kind.endswith("max") else "avg_pool", equation, view, window)
        if kind == "slice" and len(before) == 4:
            top, left = params["start_indices"][1:3]
            return view.through((1, 1), params["strides"][1:3] if params["strides"] else (1, 1), (-top, -left))
        if kind == "pad" and len(before) == 4:
            (top, *_), (left, *_) = params["padding_config"][1:3]
            return view.through((1, 1), (1, 1), (top, left))
        if len(before) == 4 and (
            len(after) != 4 or kind == "dot_general"
        ):  # flattened, or averaged: all places at once
            view = dataclasses.replace(view.through(before[1:3]), whole=True)
            if kind == "reduce_sum" and params["axes"] == (1, 2):
                return self.row("global_avg_pool", equation, view, before[1:3])
            return view
        if modules and modules[0] not in self.seen:
            return self.row("norm", equation, view, (), modules)
        return view

    def row(
        self, kind: str, equation: Any, view: View, kernel: tuple[int, ...], modules: Any = (), macs: int = 0
    ) -> View:
        value = equation.outvars[0].aval
        name = modules[0] if modules else f"{kind}{1 + sum(row.kind == kind for row in self.rows)}"
        count = 0 if name in self.seen else self.counts.get(name, 0)
        shape, size = value.shape[1:], math.prod(value.shape) * value.dtype.itemsize
        self.rows.append(Layer(name, kind, shape, tuple(kernel), count, macs, size, view.size))
        self.seen.add(name)
        return view

    def _kernel_shape(self, equation: Any) -> tuple[int, ...]:
        """Of a convolution, as height, width, channels in, channels out."""
        out, into, *space = equation.params["dimension_numbers"].rhs_spec
        shape = equation.invars[1].aval.shape
        return (*(shape[i] for i in space), shape[into], shape[out])
