"""What the devices of a ResNet-50 training say to each other, read off the compiled step, without any accelerator.

    uv run python experiments/benchmarks/collectives.py [--devices 8] [--per-device 32] [--size 224]

The step is compiled for that many fake CPU devices, under jit and fsdp, and its collective operations are counted and
added up.  Bytes on the wire are of ring algorithms: a device sends 2 (n − 1) / n of what it reduces, and (n − 1) / n of
what is gathered or scattered.  Memory is the compiler's plan on a CPU in float32; an accelerator's will differ.

Columns: how many all-reduces of gradients, and their bytes; BatchNorm's gathers of moments and small all-reduces, the
metrics' among them; other messages (fsdp gathers parameters); what a device sends in a step; the state that lies on it;
its peak.  The README beside this file has the result for 8 and for 256 devices.
"""

import argparse
import math
import os
import re
from typing import Any, NamedTuple

_BYTES = {"pred": 1, "u8": 1, "s8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "f64": 8}
_KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
_COLLECTIVE = re.compile(rf"= (?P<shapes>\(?[^=]*?\)?) (?P<kind>{_KINDS})(?:-start)?\((?P<rest>.*)")
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")

# Between the largest message of BatchNorm or the classifier's bias, and the gradients that the compiler joined.
LARGE_BYTES = 1_000_000


class Message(NamedTuple):
    """A collective operation of a compiled program."""

    kind: str
    size: int
    """Bytes of the result."""
    purpose: str
    """`gradients`, `BatchNorm` or `others`."""

    def sent(self, devices: int) -> float:
        """Bytes that a device sends, in a ring."""
        factor = {"all-reduce": 2, "reduce-scatter": devices}.get(self.kind, 1)
        return self.size * factor * (devices - 1) / devices


def collectives(hlo: str) -> list[Message]:
    """Every collective operation of a compiled step, under jit or fsdp."""
    hlo = re.sub(r"/\*index=\d+\*/", "", hlo)  # in long tuples
    return [_message(match) for match in _COLLECTIVE.finditer(hlo)]


def _message(match: re.Match[str]) -> Message:
    kind, arrays = match["kind"], _ARRAY.findall(match["shapes"])
    size = sum(_BYTES[dtype] * math.prod(int(n) for n in shape.split(",") if n) for dtype, shape in arrays)
    # Parameters are gathered because they lie in pieces, and only BatchNorm's moments because the step says so.
    if kind == "all-gather" and "/sharding_constraint" in match["rest"]:
        return Message(kind, size, "BatchNorm")
    if kind != "all-reduce":
        return Message(kind, size, "others")
    return Message(kind, size, "gradients" if size >= LARGE_BYTES else "BatchNorm")


def compile_step(strategy: str, per_device: int, size: int) -> tuple[Any, int]:
    """The compiled training step of ResNet-50, and the bytes of its state on one device."""
    import jax
    import jax.numpy as jnp
    import optax

    from cnn_jax import ops
    from cnn_jax.data import parse_augment, parse_mix
    from cnn_jax.models import create_model
    from cnn_jax.parallel import create_layout
    from cnn_jax.training.gradient import loss_gradient, over_batch
    from cnn_jax.training.inputs import make_inputs
    from cnn_jax.training.losses import softmax_cross_entropy
    from cnn_jax.training.rules import plain
    from cnn_jax.training.state import create_state
    from cnn_jax.training.step import make_train_step
    from cnn_jax.training.update import make_update

    batch_size = per_device * jax.device_count()
    layout = create_layout(strategy)
    model, optimizer = create_model("resnet50"), optax.sgd(0.1, 0.9)
    shape = (size, size, 3)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    inputs = make_inputs(
        parse_augment(()), parse_mix(()), mean, std, num_classes=1000, dtype=jnp.float32, seed=0, layout=layout
    )
    gradient = loss_gradient(
        model, softmax_cross_entropy, context=ops.Context(batch=layout.batch), seed=0, batch_size=batch_size
    )
    update, rate = make_update(optax.with_extra_args_support(optimizer)), optax.constant_schedule(0.1)
    step = make_train_step(inputs, over_batch(gradient, layout), plain, update, rate, layout)
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
    return layout.compile(step, state, batch, donate=True), state_bytes


def main() -> None:
    """Prints the table."""
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
        groups = [[m.size for m in found if m.purpose == purpose] for purpose in columns[2:5]]
        counts = [f"{len(sizes)}, {sum(sizes) / 1e6:.1f} MB" for sizes in groups]
        sent = sum(message.sent(options.devices) for message in found)
        sizes = [f"{sent / 1e6:.0f} MB", f"{state_bytes / 1e6:.0f} MB", f"{peak_bytes(compiled) / 1e9:.2f} GB"]
        print("| " + " | ".join([strategy, str(options.devices), *counts, *sizes]) + " |", flush=True)


if __name__ == "__main__":
    main()
