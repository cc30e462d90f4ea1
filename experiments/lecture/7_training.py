# %% [markdown]
# # 7. Training, written out
#
# A network learns by small steps downhill. This page trains one on 1,258 digits, in seconds, with a step of five
# lines, and then looks for the learning rate: first coarse, then fine.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from flax import linen as nn
from jaxtyping import Array, ArrayLike

from cnn_jax import load_dataset, max_pool
from cnn_jax.data import standardize, train_batches
from cnn_jax.modules import Conv
from cnn_jax.training import in_top_k, softmax_cross_entropy

Params = dict[str, dict[str, Array]]

# %% [markdown]
# ## Three sets of digits
#
# The network learns from **training** digits. Choices, such as the learning rate, are made on **validation** digits.
# **Test** digits are for the end, once: whoever chooses on them measures luck.

# %%
train, validation, test = (load_dataset("digits", split) for split in ("train", "validation", "test"))
print(len(train), len(validation), len(test))  # 1258 180 359

# %% [markdown]
# ## A network
#
# Two convolutions, a pooling, a classifier. A Flax module holds no numbers: `init` draws its parameters, `apply` uses
# them.


# %%
class Small(nn.Module):
    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = max_pool(nn.relu(Conv(16, 3)(x)), 2)
        x = nn.relu(Conv(32, 3)(x))
        return nn.Dense(10)(x.reshape(x.shape[0], -1))


network = Small()
first: Params = jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))["params"]
print(sum(leaf.size for leaf in jax.tree.leaves(first)))  # 9930


def logits(params: Params, images: ArrayLike) -> Array:
    """Scores of images uint8 [n, 8, 8, 1], brought to mean 0 and deviation 1."""
    inputs = standardize(jnp.asarray(images), train.info.mean, train.info.std)
    return network.apply({"params": params}, inputs)  # type: ignore[return-value]


# %% [markdown]
# ## The loss, and a step
#
# The **loss** is minus the logarithm of the probability that the network gives the true class (cross entropy). Its
# **gradient** says how the loss changes with each parameter. A **step** moves every parameter a little against it.
#
# The step is a **pure** function: parameters in, parameters out, nothing else is touched.


# %%
def loss(params: Params, images: ArrayLike, labels: ArrayLike) -> Array:
    return softmax_cross_entropy(logits(params, images), jnp.asarray(labels)).mean()


@jax.jit
def step(params: Params, images: ArrayLike, labels: ArrayLike, rate: float) -> tuple[Params, Array]:
    value, gradient = jax.value_and_grad(loss)(params, images, labels)
    return jax.tree.map(lambda p, g: p - rate * g, params, gradient), value


@jax.jit
def top1(params: Params, images: ArrayLike, labels: ArrayLike) -> Array:
    return in_top_k(logits(params, images), jnp.asarray(labels), 1).mean()


# %% [markdown]
# Whoever gives each of ten classes 10 % has a loss of ln 10 = 2.3. The fresh network guesses as well, and is too sure
# of it. One small step on 64 digits lowers their loss.

# %%
images, labels = train.images(np.arange(64)), train.labels[:64]
second, before = step(first, images, labels, 0.01)
_, after = step(second, images, labels, 0.01)
print(f"{np.log(10):.1f} {before:.1f} {after:.1f}")  # 2.3 3.4 2.…

# %% [markdown]
# ## The loop
#
# Batches of 64, shuffled anew in each epoch. 100 steps are five times through the training digits.


# %%
def fit(rate: float, steps: int = 100) -> tuple[Params, list[float]]:
    """The parameters after so many steps at this rate, and the loss at each."""
    params, losses = first, []
    for _, batch in zip(range(steps), train_batches(train, 64, seed=0), strict=False):
        params, value = step(params, batch["image"], batch["label"], rate)
        losses.append(value)
    return params, [float(value) for value in losses]


# %% [markdown]
# ## Hyper-parameters: coarse, then fine
#
# A bad learning rate ruins any network. Narrow its range step by step: by powers of ten first, then around the best.

# %%
coarse, fine = (0.002, 0.02, 0.2, 2.0), (0.1, 0.4)
runs = {rate: fit(rate) for rate in (*coarse, *fine)}
chosen_on = validation.images(np.arange(len(validation))), validation.labels
found = {rate: top1(params, *chosen_on).item() for rate, (params, _) in runs.items()}

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", num="training")
for rate in coarse:
    left.plot(np.convolve(runs[rate][1], np.ones(10) / 10, "valid"), label=f"rate {rate}")
left.set(ylim=(0, 3), xlabel="step", title="training loss, mean of ten steps")
for rates, marker in ((coarse, "o"), (fine, "D")):
    right.semilogx(rates, [100 * found[rate] for rate in rates], marker, label="coarse" if rates == coarse else "fine")
right.set(xlabel="learning rate", title="validation top-1, %")
for ax in (left, right):
    ax.legend(fontsize=8)

# %% [markdown]
# With 0.002 the network crawls. With 2.0 it breaks: ten classes, one right in ten. In between, a finer row is worth
# its time. (One seed, and 180 validation digits: a difference of a point means nothing here.) Then the test, once.

# %%
best = max(found, key=lambda rate: found[rate])
assert found[2.0] < 0.2 and found[0.002] < found[0.02] < found[0.2] and 0.1 <= best <= 0.4

# %%
print(f"{top1(runs[best][0], test.images(np.arange(len(test))), test.labels):.1%}")  # 9…%

# %% [markdown]
# The trainer of `cnn_jax` does the same, and what a page does not: momentum, schedules, augmentation, checkpoints
# that resume to the bit, pictures. `cnn-jax train experiments/digits_lenet.py` starts it; `cnn-jax tune` searches
# from coarse to fine ([how](../README.md#searching-for-values)).
#
# **In the code:** [`training/step.py`](../../cnn_jax/training/step.py),
# [`training/losses.py`](../../cnn_jax/training/losses.py), [`runs/loop.py`](../../cnn_jax/runs/loop.py);
# [`own_loop.py`](../own_loop.py) is a whole run on one page, which can be killed and resumed. **Next:** [transfer
# learning](8_transfer.py).
