# %% [markdown]
# # 8. Transfer learning
#
# Who knows one language well learns the next one faster, says the lecture. This page teaches a network the digits 0
# to 4, keeps what it has learned to see, and shows it five images of each of the digits 5 to 9.

# %%
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jaxtyping import Array

from cnn_jax import create_model, load_dataset
from cnn_jax.data import standardize
from cnn_jax.models import abstract_variables
from cnn_jax.modules import Conv
from cnn_jax.training import in_top_k, softmax_cross_entropy

Params = dict[str, Any]

# %% [markdown]
# ## Body and head
#
# The **body** turns an image into features, here 64 numbers, the mean of each map. The **head** turns features into
# scores. As in the lecture it goes to 512 numbers first, and on to the classes.


# %%
class Body(nn.Module):
    @nn.compact
    def __call__(self, x: Array) -> Array:
        for channels, strides in ((16, 1), (32, 2), (64, 1)):
            x = nn.relu(Conv(channels, 3, strides)(x))
        return x.mean((1, 2))


body, head = Body(), nn.Sequential([nn.Dense(512), nn.relu, nn.Dense(5)])


@jax.jit
def fresh(key: Array) -> Params:
    return {"body": body.init(key, jnp.zeros((1, 8, 8, 1))), "head": head.init(key, jnp.zeros((1, 64)))}


def logits(params: Params, images: Array) -> Any:
    return head.apply(params["head"], body.apply(params["body"], images))  # type: ignore[arg-type]


@jax.jit
def top1(params: Params, images: Array, labels: Array) -> Array:
    return in_top_k(logits(params, images), labels, 1).mean()


# %% [markdown]
# ## A step that leaves the body as it is
#
# The step of [page 7](7_training.py), with one difference. What is **frozen** is no argument of the gradient, so no
# gradient goes back through the body, and it comes out as it went in.


# %%
@partial(jax.jit, static_argnames="frozen")
def step(params: Params, images: Array, labels: Array, *, frozen: bool) -> Params:
    moving = {"head": params["head"]} if frozen else params

    def loss(moving: Params) -> Array:
        return softmax_cross_entropy(logits(params | moving, images), labels).mean()

    return params | jax.tree.map(lambda p, g: p - 0.1 * g, moving, jax.grad(loss)(moving))


# %% [markdown]
# ## The first language: 0 to 4


# %%
def five(split: str, first: int) -> tuple[np.ndarray, np.ndarray]:
    """The digits first … first + 4 of a split, with labels from 0 to 4."""
    found = load_dataset("digits", split)
    (index,) = np.nonzero((found.labels >= first) & (found.labels < first + 5))
    images = standardize(jnp.asarray(found.images(index)), found.info.mean, found.info.std)
    return np.asarray(images), found.labels[index] - first


images, labels = five("train", 0)
rng = np.random.default_rng(0)
teacher = fresh(jax.random.key(0))
for rows in rng.integers(0, len(labels), (400, 25)):
    teacher = step(teacher, images[rows], labels[rows], frozen=False)
print(f"{top1(teacher, *five('test', 0)):.0%}")  # 9…%

# %% [markdown]
# ## The second: 5 to 9, from five images each
#
# Four ways to begin, each with three choices of the 25 images. The learned body stays frozen, or learns on
# (**fine-tuning**). For comparison, a random body is frozen, or trained (from scratch). Only this comparison says
# what the first language was worth.

# %%
new_images, new_labels = five("train", 5)
new_test = five("test", 5)
WAYS = {"random, frozen": (0, 1), "learned, frozen": (1, 1), "from scratch": (0, 0), "fine-tuned": (1, 0)}
results: dict[str, list[float]] = {way: [] for way in WAYS}
for seed in range(3):
    order = np.random.default_rng(seed).permutation(len(new_labels))
    few = np.concatenate([order[new_labels[order] == label][:5] for label in range(5)])
    for way, (learned, frozen) in WAYS.items():
        params = fresh(jax.random.key(seed + 1))
        before = params["body"] = teacher["body"] if learned else params["body"]
        for _ in range(60):
            params = step(params, new_images[few], new_labels[few], frozen=bool(frozen))
        assert all(jax.tree.leaves(jax.tree.map(np.array_equal, before, params["body"]))) == frozen
        results[way].append(100 * top1(params, *new_test).item())

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained", num="transfer")
axes.bar(list(WAYS), [np.mean(found) for found in results.values()], color=["tab:blue", "tab:orange"] * 2, alpha=0.6)
axes.plot(list(WAYS), list(results.values()), "ko", markersize=4)
axes.set(title="top-1 of the digits 5 to 9, %", ylim=(0, 100))
assert np.mean(results["learned, frozen"]) > np.mean(results["random, frozen"])

# %% [markdown]
# Each dot is a choice of images; a bar is the mean of three. A frozen body that knows 0 to 4 sees more in 5 to 9 than
# a random one. Three draws on one small task prove little else. **Nine seeds**, from clothes to digits: frozen
# features score lower than training from scratch, and fine-tuned ones are not told apart from it
# ([`transfer.py`](../ablations/transfer.py)). It has to be a language alike.

# %% [markdown]
# ## ResNet-50 on your own images
#
# The input channels and the classes follow the data. On EMNIST (gray, 47 classes) only the first and the last layer
# have another shape; all between stays, and can be transferred.


# %%
def shapes(network: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
    params = abstract_variables(network, image_shape)["params"]
    return {"/".join(path): x.shape for path, x in flatten_dict(params).items()}


imagenet, emnist = shapes(create_model("resnet50"), (224, 224, 3)), shapes(create_model("resnet50", 47), (28, 28, 1))
print({name: shape for name, shape in emnist.items() if shape != imagenet[name]})
# {'head/bias': (47,), 'head/kernel': (2048, 47), 'stem_conv/kernel': (7, 7, 1, 64)}
ours = shapes(create_model("resnet50", 10, options={"hidden": 512}), (28, 28, 1))
print(ours["head_hidden/kernel"], ours["head/kernel"])  # (2048, 512) (512, 10)

# %% [markdown]
# In an experiment: `ModelConfig("resnet50", weights=…, new_head=True)` starts from a network's weights with a new
# head, and `OptimConfig(freeze="(?!head)")` freezes all else ([how](../README.md#from-one-data-set-to-another)).
#
# **In the code:** [`training/freeze.py`](../../cnn_jax/training/freeze.py);
# [`small_images_resnet50.py`](../small_images_resnet50.py) is ResNet-50 on MNIST, KMNIST, EMNIST, CIFAR and STL-10.
# **Next:** [an image drawn out of a network](9_drawn.py).
