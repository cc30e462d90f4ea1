"""What the devices of a ResNet-50 training say to each other, read off the compiled step, without any accelerator.

    uv run python experiments/benchmarks/collectives.py [--devices 8] [--per-device 32] [--size 224]

The step is compiled for that many fake CPU devices, under jit and fsdp, and its collective operations are counted and
added up.  Bytes on the wire are of ring algorithms: a device sends 2 (n − 1) / n of what it reduces, and (n − 1) / n of
what is gathered or scattered.  Memory is the compiler's plan on a CPU in float32; an accelerator's will differ.
From these follows an estimate for 256 accelerators.

Result (jax 0.12, 32 images a device): with 8 and with 256 devices alike, 206 all-reduces: the gradients in two
(102 MB), and two for each of the 53 BatchNorm layers in either direction, but where the compiler joined them.  fsdp
gathers parameters besides (142 MB on 256 devices) and holds 0.2 GB less; XLA for a CPU does not turn the reduction of
sharded gradients into a reduce-scatter, as it does for GPUs and TPUs, which would halve what that sends.
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

# NVIDIA, "DGX H100" data sheet: eight ConnectX-7 of 400 Gbit/s for eight GPUs, so 50 GB/s for each between nodes.
LINK_BYTES_PER_SECOND = 50e9
# Assumed, not published: what a small reduction over 256 devices takes, and the images a GPU trains a second alone.
SMALL_REDUCTION_SECONDS = 30e-6
IMAGES_PER_SECOND = 2800


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


def compile_step(strategy: str, per_device: int, size: int) -> Any:
    """The compiled training step of ResNet-50."""
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
        model=ModelConfig("resnet50", conv="xla"),
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
    return layout.compile_train(step, state, batch)


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

    print("| strategy | devices | collective | count | largest | MB | MB sent a device | memory a device |")
    print("|---|---|---|---|---|---|---|---|")
    for strategy in ("jit", "fsdp"):
        compiled = compile_step(strategy, options.per_device, options.size)
        found = collectives(compiled.as_text())
        memory = f"{peak_bytes(compiled) / 1e9:.2f} GB"
        for kind, sizes in sorted(found.items()):
            total = sum(sizes)
            sent = total * wire_factor(kind, options.devices)
            row = [strategy, options.devices, kind, len(sizes), f"{max(sizes) / 1e6:.2f} MB", f"{total / 1e6:.1f}"]
            print("| " + " | ".join(str(cell) for cell in [*row, f"{sent / 1e6:.1f}", memory]) + " |", flush=True)
            memory = ""
        if strategy == "jit":
            estimate = describe_estimate(found["all-reduce"])
    print("\n" + estimate)


def describe_estimate(sizes: list[int], devices: int = 256, batch_size: int = 8192) -> str:
    """A step on many accelerators: computation, the large reductions by bandwidth, the small ones by latency."""
    large = [s for s in sizes if s >= 1e6]
    compute = batch_size / devices / IMAGES_PER_SECOND
    gradients = sum(large) * wire_factor("all-reduce", devices) / LINK_BYTES_PER_SECOND
    statistics = (len(sizes) - len(large)) * SMALL_REDUCTION_SECONDS
    step = compute + statistics + gradients
    best = compute + statistics
    return (
        f"On {devices} accelerators at batch {batch_size}: computing {batch_size // devices} images "
        f"{compute * 1e3:.1f} ms; reducing {sum(large) / 1e6:.0f} MB of gradients {gradients * 1e3:.1f} ms; "
        f"{len(sizes) - len(large)} small reductions {statistics * 1e3:.1f} ms. A step takes {step * 1e3:.1f} ms when "
        f"nothing overlaps ({compute / step:.0%} of linear, {batch_size / step:,.0f} images/s), and "
        f"{best * 1e3:.1f} ms when the gradients hide behind the backward pass ({compute / best:.0%})."
    )


if __name__ == "__main__":
    main()
