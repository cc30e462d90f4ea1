"""One training step of stock Flax Linen: its own layers, plain jit, no compiler options.

uv run python experiments/benchmarks/peer_flax.py resnet50 --batch 16
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from peer_networks import Layers, Step, main


def apply_layers(x: Array, layers: Layers, dtype: Any) -> Array:
    """Inside a compact module: `x` through a list of layers."""
    for name, *numbers in layers:
        match name:
            case "conv":
                filters, window, stride, padding, bias = numbers
                pads = [(padding, padding)] * 2
                x = nn.Conv(filters, (window, window), (stride, stride), pads, use_bias=bias, dtype=dtype)(x)
            case "norm":
                x = nn.BatchNorm(use_running_average=False, momentum=0.9, dtype=dtype)(x)
            case "relu":
                x = nn.relu(x)
            case "tanh":
                x = nn.tanh(x)
            case "max_pool":
                window, stride, padding, ceil = numbers
                # With the sizes used here, ceil mode keeps one more window wherever a pixel is left over.
                end = padding + (-(x.shape[1] + 2 * padding - window) % stride if ceil else 0)
                x = nn.max_pool(x, (window, window), (stride, stride), [(padding, end)] * 2)
            case "avg_pool":
                x = nn.avg_pool(x, (numbers[0],) * 2, (numbers[0],) * 2)
            case "mean":
                x = x.mean((1, 2))
            case "flatten":
                x = x.reshape(x.shape[0], -1)
            case "dropout":
                x = nn.Dropout(numbers[0], deterministic=False)(x)
            case "dense":
                x = nn.Dense(numbers[0], dtype=dtype)(x)
            case "branches":
                x = jnp.concatenate([apply_layers(x, branch, dtype) for branch in numbers], -1)
            case "residual":
                branch, shortcut = numbers
                y = apply_layers(x, branch, dtype)
                if shortcut == "pad":
                    x = jnp.pad(x[:, ::2, ::2], ((0, 0),) * 3 + ((0, y.shape[-1] - x.shape[-1]),))
                    shortcut = []
                x = nn.relu(y + apply_layers(x, shortcut, dtype))
    return x


class Stack(nn.Module):
    """A list of layers as a module."""

    layers: Layers
    dtype: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return apply_layers(x, self.layers, jnp.dtype(self.dtype))


def prepare(layers: Layers, batch: int, channels: int, size: int, dtype: str) -> Step:
    """A step on noise, jitted with donation; SGD with Nesterov momentum."""
    model, optimizer = Stack(layers, dtype), optax.sgd(0.01, momentum=0.9, nesterov=True)
    images = jax.random.normal(jax.random.key(0), (batch, size, size, channels))
    keys = {"params": jax.random.key(1), "dropout": jax.random.key(2)}
    variables = jax.jit(model.init, compiler_options={"xla_backend_optimization_level": 0})(keys, images)
    params, stats = variables["params"], variables.get("batch_stats", {})
    state = [params, stats, optimizer.init(params)]
    labels = jnp.arange(batch) % layers[-1][1]

    @functools.partial(jax.jit, donate_argnums=0)
    def train_step(state: list[Any], images: Array, labels: Array) -> tuple[list[Any], Array]:
        params, stats, moments = state

        def loss_of(params: Any) -> tuple[Array, Any]:
            logits, new = model.apply(
                {"params": params, "batch_stats": stats},
                images.astype(dtype),
                mutable=["batch_stats"],
                rngs={"dropout": keys["dropout"]},
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels)
            return losses.mean(), new.get("batch_stats", {})

        (loss, stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, moments = optimizer.update(gradients, moments, params)
        return [optax.apply_updates(params, updates), stats, moments], loss

    def step() -> Array:
        nonlocal state
        state, loss = train_step(state, images, labels)
        return loss

    return step


if __name__ == "__main__":
    main(prepare, "flax", jax.__version__)
