"""What the training loop costs beside the compiled step itself: the part of its time in which no step is computed.

    uv run python experiments/benchmarks/step_overhead.py

In turn, in one process: some steps of a whole training by `training_events` (data, augmentation, metrics, a log line),
by the wall clock from one log line to the next; and as many of the same compiled step on one batch that stays on the
device. The share is 1 - bare / loop, by the wall clock and in the time of all processors, which others at work on the
machine change less.

Medians with quartiles, on two idle cores (AMD EPYC, Zen 3, jax 0.12.0.1): of the wall clock 3.5 % for LeNet-5 (-1.2 to
7.7, 80 turns of 25 steps) and 0.7 % for ResNet-20 (-2.8 to 3.0, 40 turns of 8 steps); of the processors' time, 3.7 and
1.3 %.
"""

import contextlib
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import jax

from cnn_jax.config import Config, load_experiment
from cnn_jax.runs import Logged, training_events
from cnn_jax.runs.session import open_session

HERE = Path(__file__).parents[1]
BATCH = 128
TURNS = {"digits_lenet.py": (80, 25), "digits_resnet20.py": (40, 8)}  # how many, and of how many steps


def clocks() -> tuple[float, float]:
    """Seconds of the wall clock, and of all processors."""
    return time.perf_counter(), time.process_time()


def since(began: tuple[float, float]) -> tuple[float, float]:
    """The same since a moment."""
    return tuple(now - then for now, then in zip(clocks(), began, strict=True))  # type: ignore[return-value]


def bare(config: Config, steps: int) -> Generator[tuple[float, float]]:
    """Seconds of so many steps alone, again and again."""
    session = open_session(config)
    step, carry = session.compile_train_step(), session.carry(session.drawn_state())
    batch = jax.device_put(next(session.training_batches(0)))
    while True:
        jax.block_until_ready(carry)
        began = clocks()
        for _ in range(steps):
            carry, _ = step(carry, batch)
        jax.block_until_ready(carry)
        yield since(began)


def loop(config: Config) -> Generator[tuple[float, float]]:
    """Seconds of a training from one log line to the next, again and again."""
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(training_events(config, folder)) as events:
        began = clocks()
        for event in events:
            if isinstance(event, Logged):
                yield since(began)
            began = clocks()


def main() -> None:
    """Prints two lines for each network."""
    for name, (turns, steps) in TURNS.items():
        config = load_experiment(HERE / name)
        often: dict[str, Any] = {"log_every": steps, "eval_every": 10**6, "checkpoint_every": 10**6, "test": "never"}
        train = dataclasses.replace(config.train, epochs=None, steps=steps * (turns + 5), **often)
        config = dataclasses.replace(config, train=train, data=dataclasses.replace(config.data, batch_size=BATCH))
        seconds: list[list[tuple[float, float]]] = [[], []]
        with contextlib.closing(loop(config)) as whole:
            for number, both in enumerate(zip(whole, bare(config, steps), strict=False)):
                if number > 1:  # compiled, and its memory touched
                    for kind, found in zip(seconds, both, strict=True):
                        kind.append(found)
                if number > turns:
                    break
        for clock, what in enumerate(("by the wall clock", "in processor time")):
            shares = [1 - b[clock] / a[clock] for a, b in zip(*seconds, strict=True)]
            low, middle, high = (f"{share:.1%}" for share in statistics.quantiles(shares, n=4))
            step = 1e3 * statistics.median(b[clock] for b in seconds[1]) / steps
            print(
                f"{config.model.name}, batch {BATCH}, {what}: {middle} (quartiles {low} and {high}) of the loop, "
                f"{len(shares)} turns of {steps} steps, a bare one {step:.1f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
