# %% [markdown]
# # 2. From pixels to a probability
#
# Convolution, activation, pooling, again; then everything in one line, a classifier, a probability for each class.
# This page takes a digit all the way through.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from flax import linen as nn

from cnn_jax import avg_pool, conv2d, create_model, features, im2col, load_dataset, max_pool
from cnn_jax.models import initialize
from cnn_jax.training import in_top_k

test = load_dataset("digits", "test")
digit = jnp.asarray(test.images(np.array([11])), jnp.float32)
edges = jnp.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])[:, :, None, None]

# %%
answer = nn.relu(conv2d(digit, edges, padding=1))
largest, mean = max_pool(answer, 2), avg_pool(answer, 2)

figure, axes = plt.subplots(1, 5, figsize=(9, 2.2), layout="constrained", num="pooling")
shown = {
    "8×8 pixels": digit,
    "edges, then ReLU": answer,
    "maximum of each 2×2": largest,
    "mean of each 2×2": mean,
    "flattened": largest.reshape(1, 16, 1, 1),
}
for ax, (title, x) in zip(axes, shown.items(), strict=True):
    ax.imshow(x[0, :, :, 0], cmap="gray_r", vmin=0, vmax=255 if x is digit else 988)
    ax.set_title(title, fontsize=9)
    ax.set_xticks([])
    ax.set_yticks([])

# %% [markdown]
# ## ReLU and pooling
#
# **ReLU** is max(0, x): what is below zero becomes zero. Without such a bend, two convolutions in a row would be no
# more than one larger convolution.
#
# **Pooling** lets one value stand for each group of pixels: the largest, or the mean. The map halves, and it matters
# less where exactly the edge was.

# %%
print(answer.shape, largest.shape)  # (1, 8, 8, 1) (1, 4, 4, 1)
print(answer[0, 2:4, :2, 0].tolist())  # [[240.0, 988.0], [128.0, 717.0]]
print(largest[0, 1, 0, 0], mean[0, 1, 0, 0])  # 988.0 518.25

# %% [markdown]
# ## Flatten
#
# A classifier wants one line of numbers for each image. **Flattening** writes the rows of all maps one after another.
# A **fully connected layer** then weighs every number for every class: 16 numbers and ten classes need 160 weights.

# %%
line = largest.reshape(1, -1)
weights = jnp.full((16, 10), 0.01)
print(line.shape, (line @ weights).shape)  # (1, 16) (1, 10)

# %% [markdown]
# ## The whole network
#
# LeNet-5 (1998) does this twice, with learned filters, 6 and then 16, and ends in three fully connected layers. (It
# bends by tanh, and pools by the mean: ReLU and maximum came later.) Its images have 28×28 pixels, so the digit is
# enlarged. `features` shows what it makes of the digit on the way.

# %%
network = create_model("lenet5", num_classes=10)
enlarged = jax.image.resize(digit / 255, (1, 28, 28, 1), "bilinear")
variables = initialize(network, {"params": jax.random.key(0)}, (28, 28, 1))
on_the_way = jax.jit(features, static_argnums=0)(network, variables, enlarged)
print([on_the_way[name].shape[1:] for name in ("stem", "stage1", "stage2", "pool")])
# [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16)]
print(5 * 5 * 16, on_the_way["logits"].shape)  # 400 (1, 10)
print(sum(leaf.size for leaf in jax.tree.leaves(variables["params"])))  # 61706

# %% [markdown]
# So there are two parts: **feature extraction** (convolution and pooling in turn: the maps get smaller and more), and
# **classification** (from 400 numbers to ten scores).
#
# ## A probability for each class
#
# **Softmax** turns scores, also called logits, into a probability distribution. The largest probability says how sure
# the network is. (Sure and right are two things: `cnn-jax eval` measures both.)

# %%
scores = jnp.array([[2.0, 1.0, 0.1]])
probabilities = jax.nn.softmax(scores)
print([round(p, 2) for p in probabilities[0].tolist()])  # [0.66, 0.24, 0.1]
assert jnp.allclose(probabilities, jnp.exp(scores) / jnp.exp(scores).sum())
assert jnp.allclose(jax.nn.softmax(on_the_way["logits"]).sum(), 1.0)

# %% [markdown]
# **Top-1** asks whether the most probable class is the true one; **top-k** whether the true one is among the k most
# probable. The top-5 error, with 1,000 classes, is the classic measure of the ImageNet challenge. Here the true class
# is the second guess:

# %%
label = jnp.array([1])
print(in_top_k(scores, label, 1).item(), in_top_k(scores, label, 2).item())  # 0.0 1.0

# %% [markdown]
# ## im2col: a convolution as one matrix product
#
# Hardware multiplies matrices fast, and does not like to hop about in an image. **im2col** (image to column) writes
# the patch under each place as one row. Then one matrix product is the whole convolution, for all images and all
# filters. The price is memory: a 3×3 filter copies each pixel up to nine times.

# %%
images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 3)), jnp.float32)
filters = jnp.asarray(np.random.default_rng(1).normal(size=(3, 3, 3, 16)), jnp.float32)
columns = im2col(images, 3, padding=1)
print(columns.shape, columns.size / images.size)  # (2, 8, 8, 27) 9.0
product = columns.reshape(-1, 27) @ filters.reshape(27, 16)
print(product.shape)  # (128, 16)
assert jnp.allclose(product.reshape(2, 8, 8, 16), conv2d(images, filters, padding=1), atol=1e-4)

# %% [markdown]
# **In the code:** [`ops/pool.py`](../../cnn_jax/ops/pool.py), [`ops/columns.py`](../../cnn_jax/ops/columns.py),
# [`models/lenet.py`](../../cnn_jax/models/lenet.py). **Next:** [why deep networks train](3_depth.py).
