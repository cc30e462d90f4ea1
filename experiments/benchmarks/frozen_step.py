"""What a training step costs when all but the classifier is frozen, beside the full step: ResNet-50.

    uv run python experiments/benchmarks/frozen_step.py

Both are the steps that `cnn-jax train` compiles, with SGD, its momentum and BatchNorm's statistics: batch 16, images of
224×224, float32. They are timed in turn, a step of each a round; the ratio is frozen over full, the median of the
rounds. The memory is what the compiled programs hold beside their arguments and results, by the compiler's own plan.

Result, on two cores of an AMD EPYC that had other work, jax 0.12.0.1, in five rounds:

    step: frozen 8.17 s, full 27.45 s; ratio: median 0.264
    of the processors: frozen 3.08 s, full 11.46 s; ratio: median 0.276
    memory: frozen 272 MB, full 2215 MB; ratio 0.123
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

from cnn_jax.config import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
from cnn_jax.parallel.compile import compile_step
from cnn_jax.runs.session import Session, open_session


def session_of(freeze: str | None, batch: int, size: int) -> Session:
    """ResNet-50 on digits as colour images of this size: what is in the images does not matter here."""
    operations = (f"resize({size})", "to_rgb()")
    return open_session(
        Config(
            model=ModelConfig("resnet50", num_classes=1000),
            data=DataConfig("digits", batch_size=batch, augment=operations, eval_augment=operations),
            optim=OptimConfig("sgd", freeze=freeze),
            train=TrainConfig(steps=1),
        )
    )


def compiled(session: Session) -> tuple[Callable[[], None], float]:
    """A function that takes a step and waits for it; and the megabytes of the program's temporary arrays."""
    shapes = session.abstract_checkpoint()["state"], session.abstract_batch()
    program = compile_step(session.layout.lower(session.train_step, *shapes, donate=True))
    batch = session.layout.put(next(session.training_batches(0)))
    state: Any = session.drawn_state()

    def step() -> None:
        nonlocal state
        state, metrics = program(state, batch)
        jax.block_until_ready((state, metrics))

    plan = program.memory_analysis()
    assert plan is not None, "this compiler says nothing of memory"
    return step, plan.temp_size_in_bytes / 1e6


def timed(step: Callable[[], None]) -> tuple[float, float]:
    """Seconds of a step, and of all processors together: these others at work on the machine change less."""
    began, of_processors = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - began, time.process_time() - of_processors


def main() -> None:
    """Prints a row a round, the median ratio and the memory."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--batch", type=int, default=16)
    words.add_argument("--image-size", type=int, default=224)
    words.add_argument("--rounds", type=int, default=5)
    given = words.parse_args()
    steps, memory = zip(
        *(compiled(session_of(freeze, given.batch, given.image_size)) for freeze in ("(?!head)", None)), strict=True
    )
    rounds = []
    for number in range(given.rounds + 1):
        times = [timed(step) for step in steps]
        if number:  # the first is a warm-up
            rounds.append(times)
            (frozen, _), (full, _) = times
            print(f"round {number}: frozen {frozen:.2f} s, full {full:.2f} s, ratio {frozen / full:.3f}", flush=True)
    for what, of in (("step", 0), ("of the processors", 1)):
        frozen, full = (statistics.median(times[which][of] for times in rounds) for which in (0, 1))
        ratio = statistics.median(times[0][of] / times[1][of] for times in rounds)
        print(f"{what}: frozen {frozen:.2f} s, full {full:.2f} s; ratio: median {ratio:.3f}")
    print(f"memory: frozen {memory[0]:.0f} MB, full {memory[1]:.0f} MB; ratio {memory[0] / memory[1]:.3f}")


if __name__ == "__main__":
    main()
