# %% [markdown]
# # 3. Why deep networks train
#
# Twenty layers multiply a signal twenty times, and its gradient twenty times on the way back. If each halves it,
# nothing arrives. This page shows what goes wrong, and the cures: ReLU, initialisation, batch normalisation.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from flax import linen as nn

from cnn_jax import batch_norm, conv2d
from cnn_jax.modules import activate, initializer

DEPTH, CHANNELS = 20, 32

# %% [markdown]
# ## A signal goes down twenty convolutions, and a gradient comes back
#
# `jax.vjp` gives what a layer puts out, and a function that takes a gradient back through it. (The images are noise.)


# %%
@partial(jax.jit, static_argnums=0)
def layer(activation: str, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return activate(activation, conv2d(x, kernel))


def through_depth(activation: str, init: str) -> tuple[list[float], list[float]]:
    """Standard deviation of each layer's output, and of the gradient that comes back to it."""
    x, gradient = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 16, 16, CHANNELS)), jnp.float32)
    signals, gradients, way_back = [], [], []
    for key in jax.random.split(jax.random.key(0), DEPTH):
        kernel = initializer(init)(key, (3, 3, CHANNELS, CHANNELS))
        x, back = jax.vjp(partial(layer, activation, kernel=kernel), x)
        signals.append(x.std().item())
        way_back.append(back)
    for back in reversed(way_back):
        gradients.append(gradient.std().item())
        (gradient,) = back(gradient)
    return signals, gradients[::-1]


NAMES = {"relu": "ReLU", "sigmoid": "sigmoid"}
RULES = {"he": "√(2/N)", "lecun": "1/√N", "normal": "0.01"}
CASES = [("relu", "he"), ("relu", "lecun"), ("relu", "normal"), ("sigmoid", "lecun")]
signal, gradient = {}, {}
for case in CASES:
    signal[case], gradient[case] = through_depth(*case)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", num="vanishing")
for activation, init in CASES:
    left.semilogy(range(1, DEPTH + 1), signal[activation, init], label=f"{NAMES[activation]}, {RULES[init]}")
    right.semilogy(range(1, DEPTH + 1), gradient[activation, init])
left.legend(fontsize=8)
for ax, title in ((left, "signal after layer"), (right, "gradient that comes back to layer")):
    ax.set_xlabel("layer")
    ax.set_title(f"{title} (standard deviation)", fontsize=10)
    ax.set_xticks(range(2, DEPTH + 1, 2))
    ax.grid(alpha=0.3)

# %% [markdown]
# Only the blue line arrives. The others need an explanation each.
#
# ## The sigmoid's slope is at most 0.25
#
# On the way back, each layer multiplies the gradient by the slope of its activation. The sigmoid's is 0.25 at best,
# so ten layers leave less than a millionth. ReLU's slope is 1 wherever it lets the signal through: this is why deep
# networks use it. The **gradient vanishes**, although the signal (left) looks healthy.

# %%
print(jax.grad(nn.sigmoid)(0.0), jax.grad(nn.relu)(1.0))  # 0.25 1.0
assert all(jax.grad(nn.sigmoid)(x) < 0.25 for x in (-4.0, -1.0, 1.0, 4.0))
print(f"{0.25**10:.1e}")  # 9.5e-07

survives = gradient["sigmoid", "lecun"][0] / gradient["sigmoid", "lecun"][-1]
assert survives < 0.25 ** (DEPTH - 1)

# %% [markdown]
# ## How large should the first weights be?
#
# A neuron adds N products up, here N = 3·3·32 = 288. The variance of a sum grows with N. Weights with standard
# deviation **1/√N** undo this, and the signal keeps its size.
#
# ReLU throws half of the signal away, so behind it **√(2/N)** keeps the size (He 2015). With 1/√N each layer loses a
# factor of √2; with 0.01, as in 2012, much more.

# %%
N = 3 * 3 * CHANNELS
kernel = initializer("lecun")(jax.random.key(0), (3, 3, CHANNELS, CHANNELS))
assert abs(kernel.std() * N**0.5 - 1) < 0.02

falls = {init: signal["relu", init][-1] / signal["relu", init][0] for init in RULES}
print(f"{falls['he']:.2f}  {falls['lecun']:.1e}  {falls['normal']:.1e}")  # 0.5…  7.…e-04  1.…e-18
expected = {
    init: (deviation * (N / 2) ** 0.5) ** (DEPTH - 1) for init, deviation in (("lecun", N**-0.5), ("normal", 0.01))
}
assert all(0.3 < falls[init] / expected[init] < 3 for init in expected)
assert 0.3 < gradient["relu", "he"][0] / gradient["relu", "he"][-1] < 3

# %% [markdown]
# [The same in VGG-19 and in a plain network of 34 layers](3_real_networks.py), which takes minutes.
#
# ## Batch normalisation
#
# The other cure does not hope, it measures: each channel is shifted and scaled to mean 0 and variance 1 over the
# batch, in every layer. (A learned scale and bias follow, here 1 and 0.)

# %%
one, zero = jnp.ones(CHANNELS), jnp.zeros(CHANNELS)
images = jnp.asarray(np.random.default_rng(2).normal(3.0, 5.0, (8, 16, 16, CHANNELS)), jnp.float32)
normal, (running_mean, running_var) = batch_norm(images, one, zero, zero, one, train=True)
assert jnp.allclose(normal.mean((0, 1, 2)), 0.0, atol=1e-4)
assert jnp.allclose(normal.var((0, 1, 2)), 1.0, atol=1e-4)

# %% [markdown]
# Then the size of the weights no longer matters: a kernel a hundred times smaller gives the same.

# %%
maps, hundredth = conv2d(images, kernel), conv2d(images, kernel / 100)
after, after_hundredth = (batch_norm(y, one, zero, zero, one, train=True, epsilon=0.0)[0] for y in (maps, hundredth))
assert jnp.allclose(after, after_hundredth, atol=1e-3)

# %% [markdown]
# One image alone has no batch. So training keeps **running averages**, a tenth of the new in each step, and
# evaluation uses those.

# %%
assert jnp.allclose(running_mean, 0.9 * zero + 0.1 * images.mean((0, 1, 2)), atol=1e-4)
evaluated, _ = batch_norm(images[:1], one, zero, running_mean, running_var, train=False)
print(evaluated.shape)  # (1, 16, 16, 32)

# %% [markdown]
# **In the code:** [`modules/initializers.py`](../../cnn_jax/modules/initializers.py),
# [`ops/batch_norm.py`](../../cnn_jax/ops/batch_norm.py). **Tested, with nine seeds:**
# [`activation_depth.py`](../ablations/activation_depth.py), [`initialisation.py`](../ablations/initialisation.py),
# [`batch_norm.py`](../ablations/batch_norm.py). **Next:** [the networks](4_networks.py).
