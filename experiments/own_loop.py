"""A whole training run on one page, from the parts of cnn_jax and without its trainer: LeNet-5 on the digits.

    python experiments/own_loop.py

Kill it at any moment and start it again: it ends with the same bits.

Result: test top-1 99.44 % (seed 0) after 400 steps, on two cores of an AMD EPYC (Zen 3, AVX2), jax 0.12.0.1.
More seeds: not yet run.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from cnn_jax import Checkpoints, TrainState, create_model, load_dataset, random_key
from cnn_jax.data import Chain, apply_augment, eval_batches, parse_augment, standardize, train_batches
from cnn_jax.training import in_top_k, softmax_cross_entropy

SEED, BATCH, STEPS, SAVE_EVERY = 0, 64, 400, 100
FOLDER = Path("runs/own_loop")

Batch = dict[str, Array]

train, test = load_dataset("digits", "train"), load_dataset("digits", "test")
change, resize = parse_augment(["resize(28)", "pad_crop(3)"]), parse_augment(["resize(28)"])
model = create_model("lenet5", num_classes=train.info.num_classes)
optimizer = optax.sgd(optax.cosine_decay_schedule(0.05, STEPS), momentum=0.9, nesterov=True)


def prepared(augment: Chain, batch: Batch) -> Array:
    images = apply_augment(augment, batch["image"], seed=SEED, epoch=batch["epoch"], index=batch["index"])
    return standardize(images, train.info.mean, train.info.std)


def first_state() -> TrainState:
    params = model.init({"params": random_key(SEED, "init")}, jnp.zeros((1, 28, 28, 1)), train=False)["params"]
    return TrainState(jnp.int32(0), params, {}, optimizer.init(params), ema=None)


@partial(jax.jit, donate_argnums=0)
def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Array]:
    def loss_of(params: Any) -> Array:
        logits: Any = model.apply({"params": params}, prepared(change, batch), train=True)
        return softmax_cross_entropy(logits, batch["label"]).mean()

    loss, gradients = jax.value_and_grad(loss_of)(state.params)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return replace(state, step=state.step + 1, params=params, opt_state=opt_state), loss


@jax.jit
def correct(params: Any, batch: Batch) -> Array:
    logits: Any = model.apply({"params": params}, prepared(resize, batch), train=False)
    return (in_top_k(logits, batch["label"], 1) * batch["mask"]).sum()


def main() -> None:
    checkpoints = Checkpoints(FOLDER / "checkpoints", keep=2)
    step, state = checkpoints.restore_newest(jax.eval_shape(first_state)) or (0, first_state())
    for batch in train_batches(train, BATCH, seed=SEED, start=step):
        if step == STEPS:
            break
        state, loss = train_step(state, batch)
        step += 1
        if step % SAVE_EVERY == 0:
            checkpoints.save(step, state)
            print(f"step {step}  loss {float(loss):.4f}")
    checkpoints.close()
    right = sum(float(correct(state.params, batch)) for batch in eval_batches(test, BATCH))
    print(f"test top-1 {right / len(test):.2%}")


if __name__ == "__main__":
    main()
