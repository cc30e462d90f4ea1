# %% [markdown]
# # 3, continued. The same in real networks
#
# Does the variance of the signal survive in VGG-19, and in the plain network of 34 layers, without any normalisation?
# This page takes minutes: it draws each network eight times, at 224×224.

# %%
from typing import Literal

import jax
import matplotlib.pyplot as plt
import numpy as np

from cnn_jax import create_model
from cnn_jax.inspect import variance_through_depth
from cnn_jax.models import initialize

RULES: dict[Literal["he", "normal"], str] = {"he": "N(0, 2/N)", "normal": "N(0, 0.01²)"}
SEEDS = range(4)

# %% [markdown]
# One draw of a network wanders, so each curve is the geometric mean of four.

# %%
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained", num="variance")
spread = {}
for name in ("vgg19", "plain34"):
    for init, rule in RULES.items():
        network = create_model(name, 0, options={"kernel_init": init, "norm": "none"})
        draws = []
        for seed in SEEDS:
            keys = {"params": jax.random.key(seed), "dropout": jax.random.key(0)}
            images = jax.random.normal(jax.random.key(seed + 4), (1, 224, 224, 3))
            variances = variance_through_depth(network, initialize(network, keys, (224, 224, 3)), images)
            draws.append(np.maximum(list(variances.values()), 1e-38))  # the smallest float32, in place of zero
        curve = np.exp(np.log(draws).mean(axis=0))
        spread[name, init] = curve[1:].max() / curve[1:].min()
        axes.semilogy(range(1, len(curve) + 1), curve, marker=".", label=f"{name}, {rule}")
axes.set(xlabel="convolution", ylabel="variance of what it puts out")
axes.legend()
axes.grid(alpha=0.3)

# %% [markdown]
# From the second convolution on: the largest variance over the smallest. (Before it, pooling takes the largest of
# several values of noise.) By He's rule it stays within a factor of ten; with the 0.01 of 2012 it falls by eleven and
# by thirty-four orders of magnitude.

# %%
print(f"He: {spread['vgg19', 'he']:.1f}, {spread['plain34', 'he']:.1f}")  # He: 7.4, 4.1
print(f"2012: {spread['vgg19', 'normal']:.0e}, {spread['plain34', 'normal']:.0e}")  # 2012: 3e+11, 2e+34
assert max(spread["vgg19", "he"], spread["plain34", "he"]) < 10
assert spread["vgg19", "normal"] > 1e10 and spread["plain34", "normal"] > 1e30
