"""From a batch as it is read to what a network is given, inside the step: augmented, mixed, standardised."""

from collections.abc import Callable, Mapping, Sequence

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Int

from cnn_jax.data import Chain, Mix, apply_augment, apply_mix, standardize
from cnn_jax.parallel import Layout
from cnn_jax.randomness import Seed

Batch = Mapping[str, Array]
Inputs = Callable[[Batch, Int[Array, ""]], tuple[Array, Array]]


def make_inputs(
    augment: Chain,
    mix: Mix,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    num_classes: int,
    dtype: DTypeLike,
    seed: Seed,
    layout: Layout,
) -> Inputs:
    """The function `(batch, step) -> (images, targets)` of training.

    The batch holds `image` (uint8 [b, H, W, C]), `label`, `index` and `epoch` (int32 [b]).  Augmentation is drawn per
    example from (seed, epoch, index), mixing per step from (seed, step), so there is no other input.
    """

    def inputs(batch: Batch, step: Int[Array, ""]) -> tuple[Array, Array]:
        images = apply_augment(augment, batch["image"], seed=seed, epoch=batch["epoch"], index=batch["index"])
        targets = batch["label"]
        if mix.ops:  # among the rows of all devices, so that the pairs do not depend on how many there are
            every = layout.gather(images), jax.nn.one_hot(layout.gather(targets), num_classes)
            images, targets = map(layout.local_rows, apply_mix(mix, *every, seed=seed, step=step))
        return standardize(images, mean, std, dtype), targets

    return inputs
