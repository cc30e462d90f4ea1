"""What a run hands on from step to step; and many steps in one call, on images that lie on the device."""

from collections.abc import Callable
from typing import TypedDict

from jax import lax
from jaxtyping import Array, Int, UInt8

from cnn_jax.training.inputs import Batch
from cnn_jax.training.metrics import TrainMetrics
from cnn_jax.training.state import TrainState
from cnn_jax.training.step import TrainStep


class Carry(TypedDict):
    """All that a step changes, and a checkpoint holds."""

    state: TrainState
    window: TrainMetrics
    """Of the steps since the last log line, merged in their order."""


CarryStep = Callable[[Carry, Batch], tuple[Carry, Int[Array, ""]]]


def carrying(step: TrainStep) -> CarryStep:
    """The same step as a run makes it: its metrics are merged into those of the steps before, and nothing else is left.

    Returns:
      The function `(carry, batch) -> (carry, steps)`; `steps`, the state's count, is there to wait for where the carry
      is donated to the next call.
    """

    def carry_step(carry: Carry, batch: Batch) -> tuple[Carry, Int[Array, ""]]:
        state, metrics = step(carry["state"], batch)
        return {"state": state, "window": carry["window"].merge(metrics)}, state.step

    return carry_step


def many_steps(step: CarryStep, images: UInt8[Array, "n h w c"], labels: Int[Array, "n"]) -> CarryStep:
    """A step, repeated in one loop on the device: the function `(carry, rows) -> (carry, steps)`.

    `rows` holds `index` and `epoch`, int32 [b, k], a column for each step, with -1 in the columns that are not used.
    How many steps are made is found when it runs, so that a call of any number up to k, of one as well, runs the same
    program, with the same bits.

    Args:
      images, labels: of the whole training split; a batch is gathered from them by its indices.
    """

    def steps(carry: Carry, rows: Batch) -> tuple[Carry, Int[Array, ""]]:
        def body(number: Int[Array, ""], carry: Carry) -> Carry:
            index, epoch = rows["index"][:, number], rows["epoch"][:, number]
            image, label = (array.at[index].get(mode="promise_in_bounds") for array in (images, labels))
            return step(carry, {"image": image, "label": label, "index": index, "epoch": epoch})[0]

        carry = lax.fori_loop(0, (rows["index"].max(axis=0) >= 0).sum(), body, carry)
        return carry, carry["state"].step

    return steps
