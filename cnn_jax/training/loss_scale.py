"""Dynamic loss scaling for float16, whose smallest number, 6e-8, many gradients fall below.

The loss is multiplied by a scale before the backward pass and the gradients are divided by it after (Micikevicius et
al. 2018, section 3.2).  A step whose gradients overflow is skipped and halves the scale; a long time without one
doubles it.
"""

from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

# As in PyTorch's GradScaler and Flax's DynamicScale.
START = 2.0**16
GROWTH_INTERVAL_STEPS = 2000


@flax.struct.dataclass
class LossScale:
    """The scale and how long it has served."""

    scale: Float[Array, ""]
    good_steps: Int[Array, ""]
    """Since the scale last changed."""

    @classmethod
    def create(cls) -> "LossScale":
        """The scale of the first step."""
        return cls(jnp.asarray(START, jnp.float32), jnp.zeros((), jnp.int32))

    def adjust(self, finite: Bool[Array, ""]) -> "LossScale":
        """After a step: halved where its gradients were not finite, doubled after `GROWTH_INTERVAL_STEPS` that were."""
        grows = self.good_steps + 1 >= GROWTH_INTERVAL_STEPS
        grown = jnp.where(grows, self.scale * 2, self.scale)
        scale = jnp.where(finite, grown, jnp.maximum(self.scale / 2, 1))
        return LossScale(scale, jnp.where(finite & ~grows, self.good_steps + 1, 0))


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether no element of any array is infinite or NaN."""
    return jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]).all()


def select_state(finite: Bool[Array, ""], new: Any, old: Any) -> Any:
    """`new` where the step was finite, else `old`; a schedule's count always moves, as the data and the step do."""

    def choose(n: Any, o: Any) -> Any:
        return n if isinstance(n, optax.ScaleByScheduleState) else jnp.where(finite, n, o)

    return jax.tree.map(choose, new, old, is_leaf=lambda x: isinstance(x, optax.ScaleByScheduleState))
