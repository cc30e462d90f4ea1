"""Who takes training steps in the parts of `accelerator.py`, and how they are timed in turn.

Contenders are timed in one process and several rounds, so that a card whose clock drifts treats all alike. A round of
one is so many steps on noise that stays on the device, without waiting in between, as a training loop goes, and a wait
at the end. All take SGD steps with Nesterov momentum; float32 products are TF32 on a GPU, for all.
"""

import functools
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))  # where cnn_jax is not installed

import jax
import jax.numpy as jnp
import optax
from peer_networks import NETWORKS

from cnn_jax.models import create_model
from cnn_jax.models.initialize import initialize
from cnn_jax.parallel.compile import compile_step, peak_bytes
from cnn_jax.parallel.deterministic import DETERMINISTIC
from cnn_jax.training.bare_step import bare_step, bare_steps

STEPS_PER_CALL = 50


class Contender(NamedTuple):
    """One way to take training steps."""

    what: str
    run: Callable[[int], None]
    """Takes so many steps, and waits for the last."""
    note: str = ""


class Ours:
    """A bare training step of a network here, on noise."""

    def __init__(
        self, name: str, batch: int, size: int, dtype: str, options: dict[str, Any] | None = None, many: bool = False
    ) -> None:
        channels = NETWORKS[name][1] if name in NETWORKS else 3
        model, optimizer = create_model(name, dtype=jnp.dtype(dtype)), optax.sgd(0.01, momentum=0.9, nesterov=True)
        variables = initialize(
            model, {"params": jax.random.key(0), "dropout": jax.random.key(1)}, (size, size, channels)
        )
        parameters, statistics = variables["params"], variables.get("batch_stats", {})
        self.state: Any = parameters, statistics, optimizer.init(parameters)
        self._batch = jax.random.normal(jax.random.key(2), (batch, size, size, channels)), jnp.arange(batch) % 10
        step, self._many = bare_step(model, optimizer), many
        given = (self.state, *self._batch, *[jnp.int32(1)] * many)
        began = time.perf_counter()
        lowered = jax.jit(bare_steps(step) if many else step, donate_argnums=0).lower(*given)
        self.step = lowered.compile(compiler_options=options) if options else compile_step(lowered)
        self.note = f"compiled in {time.perf_counter() - began:.0f} s, {peak_bytes(self.step) / 1e9:.2f} GB"

    def run(self, count: int) -> None:
        """Takes so many steps, and waits for the last."""
        calls = [min(STEPS_PER_CALL, count - done) for done in range(0, count, STEPS_PER_CALL)] if self._many else ()
        for more in [(jnp.int32(steps),) for steps in calls] if self._many else [()] * count:
            self.state, loss = self.step(self.state, *self._batch, *more)
        float(loss)


def deterministic() -> dict[str, Any]:
    """The compiler's options for bits that repeat; none on a CPU, where they do so by themselves."""
    return DETERMINISTIC if jax.default_backend() == "gpu" else {}


def peer(what: str, prepare: Callable[[], Callable[[], Any]]) -> Contender:
    """A contender that has to be called once a step, prepared and warmed up now."""
    began = time.perf_counter()
    step = prepare()
    float(step())

    def run(count: int) -> None:
        for _ in range(count):
            loss = step()
        float(loss)

    return Contender(what, run, f"ready in {time.perf_counter() - began:.0f} s")


def torch_peers(arguments: tuple[Any, ...]) -> list[Contender]:
    """PyTorch's, where it is installed."""
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed, and left out", file=sys.stderr, flush=True)
        return []
    import peer_torch
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    ways = {f"PyTorch {torch.__version__} eager": False, "torch.compile": True}
    return [
        peer(what, functools.partial(peer_torch.prepare, *arguments, device=device, compiled=compiled))
        for what, compiled in ways.items()
    ]


def in_turn(contenders: list[Contender], rounds: int, seconds: float) -> list[list[float]]:
    """For each contender the seconds of a step, in every round."""
    counts = []
    for contender in contenders:
        contender.run(1)
        count = 1
        while (each := timed(contender.run, count) / count) * count < seconds / 5:
            count *= 2
        counts.append(max(1, round(seconds / each)))
    took: list[list[float]] = [[] for _ in contenders]
    for number in range(rounds):
        for own, contender, count in zip(took, contenders, counts, strict=True):
            own.append(timed(contender.run, count) / count)
        steps = ", ".join(f"{c.what} {1e3 * own[-1]:.3f} ms" for c, own in zip(contenders, took, strict=True))
        print(f"  round {number + 1} of {rounds}: {steps}", file=sys.stderr, flush=True)
    return took


def timed(run: Callable[[int], None], count: int) -> float:
    """Seconds of so many steps."""
    began = time.perf_counter()
    run(count)
    return time.perf_counter() - began
