"""What the devices of a ResNet-50 training say to each other, read off the compiled step, without any accelerator.

    uv run python experiments/benchmarks/collectives.py [--devices 8] [--per-device 32] [--size 224]

The step is compiled for that many fake CPU devices, under jit and fsdp, and its collective operations are counted and
added up.  Bytes on the wire are of ring algorithms: a device sends 2 (n − 1) / n of what it reduces, and (n − 1) / n of
what is gathered or scattered.  Memory is the compiler's plan on a CPU in float32; an accelerator's will differ.
From these follows an estimate for 256 accelerators.

Columns: how many all-reduces of gradients, and their bytes; the small all-reduces of BatchNorm and the metrics; other
messages (fsdp gathers parameters); what a device sends in a step; the state that lies on it; its peak.  The README has
the result for 8 and for 256 devices.
"""

import argparse
import collections
import math
import os
import re
from typing import Any

_BYTES = {"pred": 1, "u8": 1, "s8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "f64": 8}
_KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
_COLLECTIVE = re.compile(rf"= (?P<shapes>\(?[^=]*?\)?) (?P<kind>{_KINDS})(?:-start)?\(")
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")

# Between the largest message of BatchNorm or the classifier's bias, and the gradients that the compiler joined.
LARGE_BYTES = 1_000_000

# NVIDIA's "DGX A100" data sheet: eight ConnectX-6 of 200 Gbit/s for eight GPUs, so 25 GB/s between nodes for each.
LINK_BYTES_PER_SECOND = 25e9
# NVIDIA's DeepLearningExamples, PyTorch ResNet-50 v1.5: one A100 (80 GB) in mixed precision, trained alone.
IMAGES_PER_SECOND = 2470
# Assumed, not published: what a reduction of some kilobytes over 256 GPUs takes.
SMALL_REDUCTION_SECONDS = 30e-6


def wire_factor(kind: str, devices: int) -> float:
    """Bytes that a device sends for each byte of the result, in a ring."""
    share = (devices - 1) / devices
    return {"all-reduce": 2 * share, "all-gather": share, "reduce-scatter": devices * share}.get(kind, share)


def collectives(hlo: str) -> dict[str, list[int]]:
    """Bytes of the result of every collective operation in a compiled program, by kind."""
    found = collections.defaultdict(list)
    hlo = re.sub(r"/\*index=\d+\*/", "", hlo)  # in long tuples
    for match in _COLLECTIVE.finditer(hlo):
        arrays = _ARRAY.findall(match["shapes"])
        sizes = [_BYTES[kind] * math.prod(int(n) for n in shape.split(",") if n) for kind, shape in arrays]
        found[match["kind"]].append(sum(sizes))
    return dict(found)


def compile_step(strategy: str, per_device: int, size: int) -> tuple[Any, int]:
    """The compiled training step of ResNet-50, and the bytes of its state on one device."""
    import jax
    import jax.numpy as jnp
    import optax

    from cnn_jax.config import Config, DataConfig, ModelConfig, ParallelConfig
    from cnn_jax.data import DatasetInfo, parse_augment, parse_mix
    from cnn_jax.models import create_model
    from cnn_jax.parallel import create_layout
    from cnn_jax.training.state import create_state
    from cnn_jax.training.step import make_train_step

    batch_size = per_device * jax.device_count()
    config = Config(
        model=ModelConfig("resnet50"),
        data=DataConfig(batch_size=batch_size),
        parallel=ParallelConfig(strategy=strategy),  # type: ignore[arg-type]
    )
    layout = create_layout(strategy)
    model, optimizer = create_model("resnet50"), optax.sgd(0.1, 0.9)
    shape = (size, size, 3)
    info = DatasetInfo(
        "imagenet", "train", 1_281_167, 1000, shape, (), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), ""
    )
    rate, augment, mix = optax.constant_schedule(0.1), parse_augment(()), parse_mix(())
    step = make_train_step(model, optimizer, rate, augment, mix, info, 1000, layout, config)
    state = jax.eval_shape(lambda: create_state(model, optimizer, shape, seed=0, ema=False))
    state = jax.tree.map(
        lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), state, layout.shardings(state)
    )
    batch = {"image": jax.ShapeDtypeStruct((batch_size, *shape), jnp.uint8, sharding=layout.split)}
    batch |= {
        k: jax.ShapeDtypeStruct((batch_size,), jnp.int32, sharding=layout.split) for k in ("label", "index", "epoch")
    }
    leaves = jax.tree.leaves(state)
    state_bytes = sum(math.prod(a.sharding.shard_shape(a.shape)) * a.dtype.itemsize for a in leaves)
    return layout.compile_train(step, state, batch), state_bytes


def main() -> None:
    """Prints the table, and the estimate from jit's row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--per-device", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    os.environ["XLA_FLAGS"] = (
        f"--xla_force_host_platform_device_count={options.devices} --xla_backend_optimization_level=0"
    )
    from cnn_jax.parallel import peak_bytes

    columns = ["strategy", "devices", "gradients", "BatchNorm", "others", "sent", "state", "peak"]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for strategy in ("jit", "fsdp"):
        compiled, state_bytes = compile_step(strategy, options.per_device, options.size)
        found = collectives(compiled.as_text())
        sent = sum(sum(sizes) * wire_factor(kind, options.devices) for kind, sizes in found.items())
        large, small = split(found["all-reduce"])
        others = [size for kind, sizes in found.items() if kind != "all-reduce" for size in sizes]
        counts = [f"{len(sizes)}, {sum(sizes) / 1e6:.1f} MB" for sizes in (large, small, others)]
        sizes = [f"{sent / 1e6:.0f} MB", f"{state_bytes / 1e6:.0f} MB", f"{peak_bytes(compiled) / 1e9:.2f} GB"]
        print("| " + " | ".join([strategy, str(options.devices), *counts, *sizes]) + " |", flush=True)
        if strategy == "jit":
            estimate = describe_estimate(large, small)
    print("\n" + estimate)


def split(sizes: list[int]) -> tuple[list[int], list[int]]:
    """Reductions of gradients, which the compiler has joined, and the small ones of BatchNorm and the metrics."""
    return [size for size in sizes if size >= LARGE_BYTES], [size for size in sizes if size < LARGE_BYTES]


def describe_estimate(large: list[int], small: list[int], devices: int = 256, batch_size: int = 8192) -> str:
    """A step on many accelerators: computation, the large reductions by bandwidth, the small ones by latency."""
    compute = batch_size / devices / IMAGES_PER_SECOND
    gradients = sum(large) * wire_factor("all-reduce", devices) / LINK_BYTES_PER_SECOND
    statistics = len(small) * SMALL_REDUCTION_SECONDS
    step, best = compute + statistics + gradients, compute + statistics
    return (
        f"On {devices} accelerators at batch {batch_size}: computing {batch_size // devices} images "
        f"{compute * 1e3:.1f} ms; reducing {sum(large) / 1e6:.0f} MB of gradients {gradients * 1e3:.1f} ms; "
        f"{len(small)} small reductions {statistics * 1e3:.1f} ms. A step takes {step * 1e3:.1f} ms when "
        f"nothing overlaps ({compute / step:.0%} of linear, {batch_size / step:,.0f} images/s), and "
        f"{best * 1e3:.1f} ms when the gradients hide behind the backward pass ({compute / best:.0%}, "
        f"{batch_size / best:,.0f} images/s)."
    )


if __name__ == "__main__":
    main()
