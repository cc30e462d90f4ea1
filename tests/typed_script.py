"""A user's script as a type checker and an editor see it: what the package's names take and give.

Nothing runs it. `mypy` reads it beside the package, and `.ci/run` with `--strict` beside the installed wheel.
"""

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any, assert_type

import flax.linen as nn
import jax
import jax.numpy as jnp

import cnn_jax
from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
from cnn_jax.models import Network
from cnn_jax.runs import Event, OpenRun, Result


class Small(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> jax.Array:
        return nn.Dense(self.num_classes)(images.reshape((images.shape[0], -1)))


def invert(image: jax.Array, key: jax.Array, probability: float = 0.1) -> jax.Array:
    return jnp.where(jax.random.bernoulli(key, probability), 255 - image, image)


def config() -> Config:
    return Config(
        model=ModelConfig(partial(Small)),
        data=DataConfig("digits", batch_size=64, augment=("pad_crop(1)", partial(invert, probability=0.2))),
        optim=OptimConfig("optax:lion", learning_rate=1e-3),
        train=TrainConfig(epochs=1),
        seed=3,
    )


def script() -> None:
    lenet = ModelConfig("lenet5", options={"activation": "relu"})
    assert_type(config().train.epochs, float | None)
    assert_type(lenet.num_classes, int | None)

    model = cnn_jax.create_model("resnet20_cifar", num_classes=10, dtype=jnp.bfloat16, options={"width": 0.5})
    assert_type(model, Network)
    images = jnp.zeros((1, 8, 8, 1))
    variables = model.init({"params": jax.random.key(0)}, images, train=False)
    assert_type(cnn_jax.features(model, variables, images), dict[str, jax.Array])
    assert_type(cnn_jax.list_models(), list[str])

    result = cnn_jax.train(config(), "runs/mine")
    assert_type(result, Result)
    assert_type(result.run, Path)
    assert_type(result.test, dict[str, Any] | None)
    assert_type(cnn_jax.training_events(config(), Path("runs/mine")), Generator[Event, None, None])

    run = cnn_jax.open_run(result.run)
    assert_type(run, OpenRun)
    assert_type(run.model, nn.Module)
    assert_type(run.steps, list[int])
    assert_type(run.variables("best"), dict[str, Any])
    assert_type(run.metrics(), list[dict[str, Any]])


def mistakes() -> None:
    """Each is found by a type checker, which would call the comment beside it unused otherwise."""
    cnn_jax.create_model(20)  # type: ignore[arg-type]
    cnn_jax.create_model("lenet5", classes=10)  # type: ignore[call-arg]
    cnn_jax.train("digits_lenet.py")  # type: ignore[arg-type]
    cnn_jax.trian(config())  # type: ignore[attr-defined]
    TrainConfig(epochs="60")  # type: ignore[arg-type]
    cnn_jax.open_run("runs/mine").variable("best")  # type: ignore[attr-defined]
