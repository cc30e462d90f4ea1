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
from cnn_jax.runs.machine.peaks import find_peak
from cnn_jax.runs.open import find_network
from cnn_jax.training.bare_step import bare_step, bare_steps


@dataclass(frozen=True)
class StepTimes:
    """The figures of `bench`. `tflops` counts two operations a multiply-add, and three forward passes a step.

    `peak_memory_mb` is the compiler's plan of a call. What a device does not say, or its maker, is None.
    """

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
    device: str
    steps_per_call: int
    peak_tflops: float | None
    """Of the device, in `peak_arithmetic`."""
    peak_arithmetic: str | None
    share_of_peak: float | None
    device_memory_mb: float | None
    """In use between calls, by the allocator's count."""
    device_peak_memory_mb: float | None


def time_steps(
    name: str,
    *,
    batch: int,
    image_size: int | None = None,
    dtype: str = "float32",
    conv: Literal["auto", "xla"] = "auto",
    steps: int = 10,
    warmup: int = 3,
    steps_per_call: int = 1,
) -> StepTimes:
    """Time whole training steps on noise.

    Args:
      name: of a network, which is given its published channels and number of classes; or an experiment file.
      batch: images a step.
      image_size: height and width; None is the published one.
      dtype: of the computation.
      conv: `auto`, our formulations and compiler options; `xla`, neither.
      steps: calls timed, of one step each if not said otherwise; the median and the fastest are reported.
      warmup: calls before them.
      steps_per_call: more than one run as a loop on the device, whose length is no part of the program.

    Returns:
      The figures, of one step.

    Raises:
      ValueError: for an unknown model, or a number that is not positive.
    """
    numbers = dict(batch=batch, image_size=1 if image_size is None else image_size, steps=steps)
    for what, number in (numbers | dict(steps_per_call=steps_per_call)).items():
        if number < 1:
            raise ValueError(f"`{what}` must be positive, got {number}.")
    with jax.enable_x64(dtype == "float64"):
        return _time_steps(name, batch, image_size, dtype, conv, steps, warmup, steps_per_call)


def _time_steps(
    name: str, batch: int, image_size: int | None, dtype: str, conv: str, steps: int, warmup: int, steps_per_call: int
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
        # Its check of the compiler is once a process, and no part of compiling a step.
        compiler_options("float32", dtype)
    start = time.perf_counter()
    step: Any = bare_step(model, optimizer)
    arguments: tuple[Any, ...] = (images, labels)
    if steps_per_call > 1:
        step, arguments = bare_steps(step), (*arguments, jnp.int32(steps_per_call))
    with ops.context(conv=conv), without_cache():
        lowered = jax.jit(step, donate_argnums=0).lower(state, *arguments)
        compiled = compile_step(lowered) if conv == "auto" else lowered.compile()
    compile_s = time.perf_counter() - start
    each = "" if steps_per_call == 1 else f" of {steps_per_call} steps"
    print(f"compiled in {compile_s:.1f} s, {warmup} + {steps} calls{each}", file=sys.stderr, flush=True)

    times = []
    for _ in range(warmup + steps):
        start = time.perf_counter()
        state, loss = compiled(state, *arguments)
        float(loss)
        times.append((time.perf_counter() - start) / steps_per_call)
    median, fastest = statistics.median(times[warmup:]), min(times[warmup:])
    tflops = 6 * batch * sum(layer.macs for layer in layers(model, variables, shape)) / median / 1e12
    device = jax.devices()[0]
    peak = find_peak(device.device_kind, dtype, jax.config.jax_default_matmul_precision)
    used = device.memory_stats() or {}
    in_use, most_in_use = (
        round(used[name] / 1e6, 1) if name in used else None for name in ("bytes_in_use", "peak_bytes_in_use")
    )
    return StepTimes(
        model=name,
        batch=batch,
        dtype=dtype,
        conv=conv,
        step_ms_median=round(1e3 * median, 4),
        step_ms_min=round(1e3 * fastest, 4),
        images_per_s=round(batch / median, 2),
        tflops=round(tflops, 4),
        peak_memory_mb=round(peak_bytes(compiled) / 1e6, 1),
        compile_s=round(compile_s, 2),
        device=device.device_kind,
        steps_per_call=steps_per_call,
        peak_tflops=None if peak is None else peak.tflops,
        peak_arithmetic=None if peak is None else peak.arithmetic,
        share_of_peak=None if peak is None else round(tflops / peak.tflops, 4),
        device_memory_mb=in_use,
        device_peak_memory_mb=most_in_use,
    )
