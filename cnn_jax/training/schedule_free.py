"""Optimisers without a schedule train at one place and are evaluated at another (Defazio et al. 2024)."""

import functools
from typing import Any

import jax
import optax
from optax.contrib import ScheduleFreeState


def evaluated_params(opt_state: optax.OptState, params: Any) -> Any:
    """The parameters to evaluate: those of training, but for schedule-free optimisers their average.

    BatchNorm's running statistics stay those of training.

    Returns:
      x of y = (1 - β) z + β x (Defazio et al. 2024, equation 4), where an optimiser keeps z; as
      `optax.contrib.schedule_free_eval_params`, but for frozen parameters, of which there is no z.
    """
    leaves = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, ScheduleFreeState))
    states = [leaf for leaf in leaves if isinstance(leaf, ScheduleFreeState)]
    if not states:
        return params

    def average(b1: Any, z: Any, y: Any) -> Any:
        return y if isinstance(z, optax.MaskedNode) else (y - (1.0 - b1) * z) / b1

    for state in states:  # each of other parameters
        mean = functools.partial(average, state.b1)
        params = jax.tree.map(mean, state.z, params, is_leaf=lambda node: isinstance(node, optax.MaskedNode))
    return params
