# %% [markdown]
# # 5. Inception, bottleneck, residual learning
#
# Three ideas made networks deeper and cheaper at once: several filters side by side, a 1×1 convolution in front of an
# expensive one, and a way around.

# %%
from functools import partial
from math import prod

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from flax import linen as nn

from cnn_jax import conv2d, summary
from cnn_jax.modules import BasicBlock, Inception, Layers

# %% [markdown]
# ## What a way around does for depth
#
# Twenty convolutions with weights that are far too small, as on [page 3](3_depth.py); the gradient comes back through
# them once in a row, and once with a **shortcut**: each layer's input is added to what it puts out.

# %%
rng = np.random.default_rng(0)
kernels = jnp.asarray(rng.normal(scale=0.01, size=(20, 3, 3, 32, 32)), jnp.float32)
image, last_gradient = jnp.asarray(rng.normal(size=(2, 4, 16, 16, 32)), jnp.float32)


@partial(jax.jit, static_argnums=0)
def layer(shortcut: bool, x: jax.Array, kernel: jax.Array) -> jax.Array:
    branch = nn.relu(conv2d(x, kernel))
    return x + branch if shortcut else branch


def gradients(shortcut: bool) -> list[float]:
    """Standard deviation of the gradient at each layer's input."""
    x, gradient, way_back, sizes = image, last_gradient, [], []
    for kernel in kernels:
        x, back = jax.vjp(partial(layer, shortcut, kernel=kernel), x)
        way_back.append(back)
    for back in reversed(way_back):
        (gradient,) = back(gradient)
        sizes.append(gradient.std().item())
    return sizes[::-1]


in_a_row, around = gradients(shortcut=False), gradients(shortcut=True)
straight, narrow = prod((3, 3, 256, 256)), [prod((1, 1, 256, 64)), prod((3, 3, 64, 64)), prod((1, 1, 64, 256))]

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", num="blocks")
left.semilogy(range(1, 21), in_a_row, label="in a row")
left.semilogy(range(1, 21), around, label="with shortcuts")
left.set(xlabel="layer", title="gradient that comes back")
left.grid(alpha=0.3)
left.legend(fontsize=8)
right.bar(["3×3 on 256"], straight / 1000)
right.bar(["1×1 to 64", "3×3 on 64", "1×1 to 256"], np.array(narrow) / 1000, color="tab:orange", label="bottleneck")
right.set(title="weights, thousands")
right.legend(fontsize=8)
print(f"{in_a_row[0]:.0e}, {around[0]:.1f}")  # …e-19, 1.…
assert in_a_row[0] < 1e-15 and 0.5 < around[0] < 2

# %% [markdown]
# ## Residual learning
#
# The shortcut copies its input as it is: the **identity**. By itself it means nothing. But the gradient takes the
# same way back unharmed, and the block only learns what to **add** to its input, the residual. A block that has
# learned nothing (here, its last scale starts at zero) is the identity, so more blocks need not make a network worse.

# %%
block, x = BasicBlock(Layers(), features=16, zero_init_scale=True), jnp.arange(1024.0).reshape(1, 8, 8, 16)
y, _ = jax.jit(lambda key: block.init_with_output(key, x, train=False))(jax.random.key(2))
assert jnp.array_equal(y, x)

# %% [markdown]
# ## The bottleneck
#
# A **1×1 convolution** mixes the channels at each place and does nothing else: a small fully connected layer for each
# pixel.

# %%
pixels = jnp.asarray(rng.normal(size=(1, 4, 4, 256)), jnp.float32)
mix = jnp.asarray(rng.normal(size=(256, 64)), jnp.float32)
assert jnp.allclose(conv2d(pixels, mix[None, None]), pixels @ mix, atol=1e-3)

# %% [markdown]
# A **bottleneck** takes 256 channels down to 64 with one, moves the 3×3 filters there, and goes back up with another.
# It has an eighth of the weights of a 3×3 on 256 channels, so for the same cost a network can be deeper.

# %%
print(straight, sum(narrow), f"{straight / sum(narrow):.1f}")  # 589824 69632 8.5

# %% [markdown]
# ## FLOPs
#
# A convolution multiplies and adds once for each weight at each place: 2 · height · width · weights. Here is the
# second convolution of ResNet-50's first block, by hand and by `summary`:

# %%
resnet34, resnet50 = summary("resnet34"), summary("resnet50")
layers = {x.name: x for x in resnet50.layers}
conv = layers["stage1_block1/conv2"]
print(conv.output_shape, conv.kernel, conv.flops)  # (56, 56, 64) (3, 3, 64, 64) 231211008
assert conv.flops == 2 * 56 * 56 * prod(conv.kernel)

# %% [markdown]
# ## ResNet-34 and ResNet-50
#
# Both have 16 blocks. Those of ResNet-34 are two 3×3 convolutions; those of ResNet-50 are bottlenecks, which put out
# four times as many channels. That is 16 layers more for 12 % more operations.

# %%
print(f"{resnet34.params / 1e6:.1f} M, {resnet34.flops / 1e9:.1f} GFLOPs")  # 21.8 M, 7.3 GFLOPs
print(f"{resnet50.params / 1e6:.1f} M, {resnet50.flops / 1e9:.1f} GFLOPs")  # 25.6 M, 8.2 GFLOPs
blocks = [{x.name.split("/")[0] for x in cost.layers if "block" in x.name} for cost in (resnet34, resnet50)]
print([len(names) for names in blocks], f"{resnet50.flops / resnet34.flops:.2f}")  # [16, 16] 1.12

# %% [markdown]
# A 7×7 convolution comes first, with 64 filters and a stride of 2. Each new stage halves the map and doubles the
# channels. At the end each of 2,048 maps is averaged, and one layer leads to 1,000 classes.

# %%
print(layers["stem_conv"].kernel, layers["stem_conv"].output_shape)  # (7, 7, 3, 64) (112, 112, 64)
print([layers[f"stage{i}_block1/conv3"].output_shape for i in (1, 2, 3, 4)])
# [(56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048)]
print(layers["head"].kernel)  # (2048, 1000)

# %% [markdown]
# ## Inception
#
# GoogLeNet asks: a 1×1, a 3×3 or a 5×5 filter? All of them, and pooling, side by side; the maps are stacked. Its
# first block turns 192 channels into 64 + 128 + 32 + 32. (1×1 convolutions in front of the larger filters keep it
# cheap.)

# %%
inception = Inception(Layers(), one=64, three_reduce=96, three=128, five_reduce=16, five=32, pool_project=32)
maps = jax.ShapeDtypeStruct((1, 28, 28, 192), jnp.float32)
out, _ = jax.eval_shape(lambda key, x: inception.init_with_output(key, x, train=False), jax.random.key(0), maps)
print(out.shape, 64 + 128 + 32 + 32)  # (1, 28, 28, 256) 256

# %% [markdown]
# **In the code:** [`modules/residual.py`](../../cnn_jax/modules/residual.py),
# [`modules/inception.py`](../../cnn_jax/modules/inception.py). **Tested, with nine seeds:**
# [`residual_depth.py`](../ablations/residual_depth.py), [`bottleneck.py`](../ablations/bottleneck.py),
# [`inception.py`](../ablations/inception.py), [`two_3x3.py`](../ablations/two_3x3.py). **Next:** [more images from
# the same ones](6_augmentation.py).
