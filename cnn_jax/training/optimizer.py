"""The optimiser and its learning-rate schedule, composed from Optax."""

import jax
import optax

from cnn_jax.config import OptimConfig
from cnn_jax.training.freeze import only_the_rest


def make_schedule(optim: OptimConfig, peak: float, steps: int, warmup: int) -> optax.Schedule:
    """The learning rate as a function of the step: a linear warm-up from zero, then constant, drops or a half cosine.

    `peak` is the rate after the warm-up; `steps` counts the whole run, of which the first `warmup` warm up.

    The cosine (Loshchilov and Hutter 2017, equation 5, one period) reaches zero at the end of the run.
    """
    match optim.schedule:
        case "constant":
            after = optax.constant_schedule(peak)
        case "cosine":
            after = optax.cosine_decay_schedule(peak, max(1, steps - warmup))
        case "step":
            # join_schedules counts from the end of the warm-up; the fractions are of the whole run.
            # In a short run several may fall on one step, where their factors multiply.
            drops: dict[int, float] = {}
            for fraction in optim.step_fractions:
                step = round(fraction * steps) - warmup
                drops[step] = drops.get(step, 1.0) * optim.step_factor
            after = optax.piecewise_constant_schedule(peak, drops)
    if not warmup:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), after], [warmup])


def is_kernel(params: optax.Params) -> optax.Params:
    """True where weight decay applies: kernels, not biases or scales (He et al. 2018, section 3.1)."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


def make_optimizer(optim: OptimConfig, rate: optax.Schedule) -> optax.GradientTransformation:
    """Gradient clipping, then SGD with momentum, AdamW or LAMB, at this rate, for what is not frozen.

    SGD adds the decay to the gradient before the momentum, as Krizhevsky et al. 2012 (section 5) and PyTorch do;
    AdamW takes it apart from the gradient (Loshchilov and Hutter 2019), times the learning rate. LAMB (You et al. 2020,
    algorithm 2) is AdamW with every array's step scaled to that array's norm: for large batches.
    """
    parts = [optax.clip_by_global_norm(optim.clip_norm)] if optim.clip_norm is not None else []
    beta1 = 0.9 if optim.beta1 is None else optim.beta1
    beta2 = 0.999 if optim.beta2 is None else optim.beta2
    decay = {"weight_decay": optim.weight_decay, "mask": is_kernel}
    match optim.name:
        case "sgd":
            momentum = 0.9 if optim.momentum is None else optim.momentum
            nesterov = True if optim.nesterov is None else optim.nesterov
            parts += [
                optax.add_decayed_weights(optim.weight_decay, is_kernel),
                optax.sgd(rate, momentum or None, nesterov),
            ]
        case "adamw":
            parts.append(optax.adamw(rate, beta1, beta2, **decay))
        case "lamb":
            parts.append(optax.lamb(rate, beta1, beta2, **decay))
    return only_the_rest(optax.chain(*parts), optim.freeze)
