"""How long one training step takes: forward, backward, SGD with Nesterov momentum, statistics and dropout, blocking.

The step is the bare one, without data, augmentation or metrics, so that other code bases can be timed alike.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from cnn_jax import ops
from cnn_jax.inspect import layers
from cnn_jax.models.initialize import initialize
from cnn_jax.parallel.compile import compile_step, compiler_options, peak_bytes, without_cache
from cnn_jax.runs.open import find_network
from cnn_jax.training.bare_step import bare_step


@dataclass(frozen=True)
class StepTimes:
    """The figures of `bench`. `tflops` counts two operations a multiply-add, and three forward passes a step."""

    model: str
    batch: int
    dtype: str
    conv: str
    step_ms_median: float
    step_ms_min: float
    images_per_s: float
    tflops: float
    peak_memory_mb: float
    compile_s: float


def time_steps(
    name: str,
    *,
    batch: int,
    image_size: int | None = None,
    dtype: str = "float32",
    conv: Literal["auto", "xla"] = "auto",
    steps: int = 10,
    warmup: int = 3,
) -> StepTimes:
    """Time whole training steps on noise.

    Args:
      name: of a network, which is given its published channels and number of classes; or an experiment file.
      batch: images a step.
      image_size: height and width; None is the published one.
      dtype: of the computation.
      conv: `auto`, our formulations and compiler options; `xla`, neither.
      steps: steps timed; the median and the fastest are reported.
      warmup: steps before them.

    Returns:
      The figures; memory is what the compiled step holds at once: arguments, results and temporaries.

    Raises:
      ValueError: for an unknown model, or a number that is not positive.
    """
    for what, number in dict(batch=batch, image_size=1 if image_size is None else image_size, steps=steps).items():
        if number < 1:
            raise ValueError(f"`{what}` must be positive, got {number}.")
    with jax.enable_x64(dtype == "float64"):
        return _time_steps(name, batch, image_size, dtype, conv, steps, warmup)


def _time_steps(
    name: str, batch: int, image_size: int | None, dtype: str, conv: str, steps: int, warmup: int
) -> StepTimes:
    name, model, (height, width, channels) = find_network(name, dtype=dtype)
    shape = (image_size or height, image_size or width, channels)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    print(f"{name}: preparing {batch} images of {shape}", file=sys.stderr, flush=True)
    variables = initialize(model, keys, shape)
    optimizer = optax.sgd(0.01, momentum=0.9, nesterov=True)
    parameters, batch_stats = variables["params"], variables.get("batch_stats", {})
    state: tuple[Any, ...] = (parameters, batch_stats, optimizer.init(parameters))
    images = jax.random.normal(jax.random.key(2), (batch, *shape), jnp.float32)
    logits = jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, images)
    labels = jnp.arange(batch) % logits.shape[-1]

    if conv == "auto":
        compiler_options(
            "float32", dtype
        )  # its check of the compiler is once a process, and no part of compiling a step
    start = time.perf_counter()
    with ops.context(conv=conv), without_cache():
        lowered = jax.jit(bare_step(model, optimizer), donate_argnums=0).lower(state, images, labels)
        compiled = compile_step(lowered) if conv == "auto" else lowered.compile()
    compile_s = time.perf_counter() - start
    print(f"compiled in {compile_s:.1f} s, {warmup} + {steps} steps", file=sys.stderr, flush=True)

    times = []
    for _ in range(warmup + steps):
        start = time.perf_counter()
        state, loss = compiled(state, images, labels)
        float(loss)
        times.append(time.perf_counter() - start)
    median, fastest = statistics.median(times[warmup:]), min(times[warmup:])
    flops = 6 * batch * sum(layer.macs for layer in layers(model, variables, shape))
    return StepTimes(
        model=name,
        batch=batch,
        dtype=dtype,
        conv=conv,
        step_ms_median=round(1e3 * median, 2),
        step_ms_min=round(1e3 * fastest, 2),
        images_per_s=round(batch / median, 2),
        tflops=round(flops / median / 1e12, 4),
        peak_memory_mb=round(peak_bytes(compiled) / 1e6, 1),
        compile_s=round(compile_s, 2),
    )
