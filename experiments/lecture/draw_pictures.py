"""Draws the pictures of "From the lecture to the code" into this folder, from the digits and from noise.

uv run python experiments/lecture/draw_pictures.py
"""

from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from cnn_jax import conv2d
from cnn_jax.data import apply_augment, load_dataset, parse_augment
from cnn_jax.inspect import plot_variance, variance_through_depth
from cnn_jax.models import create_model, initialize
from cnn_jax.modules import activate, initializer

FOLDER = Path(__file__).parent
FILTERS = {
    "edges, left to right": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "edges, top to bottom": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "blur": [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
    "edges all around": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
}
AUGMENTATIONS = ("resize(16)", "pad_crop(1)", "horizontal_flip()", "rotate90()", "rotate(15)", "cutout(4)")
DEPTH, CHANNELS = 20, 32


def draw_convolution() -> None:
    """A digit, four filters, and the four maps that `conv2d` makes of it."""
    image = load_dataset("digits", "test").images(np.array([11]))
    kernel = np.stack([np.array(f, np.float32) for f in FILTERS.values()], axis=-1)[:, :, None]
    maps = conv2d(jnp.asarray(image, jnp.float32), jnp.asarray(kernel), padding=1)[0]
    figure, axes = plt.subplots(2, 5, figsize=(9, 4.2), layout="constrained")
    axes[0, 0].imshow(image[0, :, :, 0], cmap="gray_r")
    axes[0, 0].set_title("8×8 pixels", fontsize=9)
    for column, name in enumerate(FILTERS, start=1):
        weights = kernel[:, :, 0, column - 1]
        axes[0, column].imshow(weights, cmap="RdBu", vmin=-np.abs(weights).max(), vmax=np.abs(weights).max())
        for (row, place), weight in np.ndenumerate(weights):
            colour = "white" if abs(weight) > 0.7 * abs(weights).max() else "black"
            axes[0, column].text(place, row, f"{weight:.0f}", ha="center", va="center", color=colour)
        axes[0, column].set_title(name, fontsize=9)
        largest = abs(maps[..., column - 1]).max()
        axes[1, column].imshow(maps[..., column - 1], cmap="RdBu", vmin=-largest, vmax=largest)
    for ax in axes.flat:
        ax.set_axis_off()
    axes[1, 0].text(0.5, 0.5, "their maps →", ha="center", va="center", transform=axes[1, 0].transAxes)
    figure.savefig(FOLDER / "convolution.png", dpi=80)


def signal_and_gradient(activation: str, init: str) -> tuple[list[float], list[float]]:
    """Standard deviation of every layer's output, and of the loss's gradient with respect to it; no normalisation."""
    keys = jax.random.split(jax.random.key(0), DEPTH + 2)
    kernels = [initializer(init)(key, (3, 3, CHANNELS, CHANNELS)) for key in keys[:DEPTH]]
    x = jax.random.normal(keys[-2], (8, 16, 16, CHANNELS))
    direction = jax.random.normal(keys[-1], x.shape)

    def loss(nudges: list[jax.Array]) -> tuple[jax.Array, list[jax.Array]]:
        y, outputs = x, []
        for kernel, nudge in zip(kernels, nudges, strict=True):
            y = activate(activation, conv2d(y, kernel)) + nudge
            outputs.append(y)
        return (y * direction).sum(), outputs

    # The gradient with respect to a layer's output is that with respect to zeros added to it.
    gradients, outputs = jax.jit(jax.grad(loss, has_aux=True))([jnp.zeros_like(x)] * DEPTH)
    return [y.std().item() for y in outputs], [g.std().item() for g in gradients]


def draw_vanishing() -> None:
    """The size of signal and gradient through twenty 3×3 convolutions, for activations and initialisations."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for activation, init, label in (
        ("relu", "he", "ReLU, √(2/N)"),
        ("relu", "lecun", "ReLU, 1/√N"),
        ("relu", "normal", "ReLU, N(0, 0.01²)"),
        ("sigmoid", "lecun", "sigmoid, 1/√N"),
    ):
        signal, gradient = signal_and_gradient(activation, init)
        left.semilogy(range(1, DEPTH + 1), signal, label=label)
        right.semilogy(range(1, DEPTH + 1), gradient, label=label)
    for ax, title in ((left, "signal after layer"), (right, "gradient that reaches layer")):
        ax.set_xlabel("layer")
        ax.set_title(f"{title} (standard deviation)", fontsize=10)
        ax.set_xticks(range(2, DEPTH + 1, 2))
        ax.grid(alpha=0.3)
    left.legend(fontsize=8)
    figure.savefig(FOLDER / "vanishing.png", dpi=80)


def draw_variance() -> None:
    """The variance of what each convolution puts out, without normalisation, by network and initialisation.

    Geometric means of four draws: one draw of a network wanders. Prints the largest over the smallest, the first
    convolution left out, whose pooling takes the largest of several values of noise.
    """
    curves = {}
    rules: dict[Literal["he", "normal"], str] = {"he": "N(0, 2/N)", "normal": "N(0, 0.01²)"}
    for name in ("vgg19", "plain34"):
        for init, rule in rules.items():
            model = create_model(name, 0, options={"kernel_init": init, "norm": "none"})
            draws = []
            for seed in range(4):
                images = jax.random.normal(jax.random.key(seed + 4), (1, 224, 224, 3))
                keys = {"params": jax.random.key(seed), "dropout": jax.random.key(0)}
                draws.append(variance_through_depth(model, initialize(model, keys, (224, 224, 3)), images))
            ratios = [max(list(draw.values())[1:]) / min(list(draw.values())[1:]) for draw in draws]
            means = {layer: float(np.exp(np.mean([np.log(max(d[layer], 1e-38)) for d in draws]))) for layer in draws[0]}
            curves[f"{name}, {rule}"] = means
            values = list(means.values())[1:]
            print(f"{name}, {rule}: {max(values) / min(values):.3g}; single draws", *(f"{r:.3g}" for r in ratios))
    plot_variance(curves, FOLDER / "variance.png")


def draw_augmentation() -> None:
    """Four digits, a row each: as stored, and after each augmentation."""
    index = np.array([5, 11, 2, 7])
    images = load_dataset("digits", "train").images(index)
    address = jnp.asarray(index, jnp.int32)
    columns = {"as stored": jnp.asarray(images)} | {
        spec: apply_augment(parse_augment([spec]), jnp.asarray(images), seed=0, epoch=address * 0, index=address)
        for spec in AUGMENTATIONS
    }
    figure, axes = plt.subplots(len(index), len(columns), figsize=(9, 5.4), layout="constrained")
    for column, (spec, changed) in enumerate(columns.items()):
        axes[0, column].set_title(spec, fontsize=9)
        for row in range(len(index)):
            axes[row, column].imshow(changed[row, :, :, 0], cmap="gray", vmin=0, vmax=255)
            axes[row, column].set_axis_off()
    figure.savefig(FOLDER / "augmentation.png", dpi=70)


if __name__ == "__main__":
    draw_convolution()
    draw_vanishing()
    draw_variance()
    draw_augmentation()
