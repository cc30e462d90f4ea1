# %% [markdown]
# # 4. The networks
#
# LeNet, AlexNet, VGG, GoogLeNet, ResNet: each is in `cnn_jax`, as published. What did each bring, and what does it
# cost?

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from cnn_jax import conv2d, create_model, features, list_models, summary
from cnn_jax.models import abstract_variables

# %% [markdown]
# ## Top-5 error, from 2012 to 2015
#
# ImageNet's challenge, ILSVRC: 1,000 classes, 1.2 million training images. An answer counts as wrong when the true
# class is not among the five most probable. A person who trained for it erred on 5.1 %.
#
# (Test error as reported, of several networks averaged: Krizhevsky 2012, Simonyan 2014, Szegedy 2014, He 2015; the
# person: Russakovsky 2015. Nothing on this page was trained by us.)

# %%
REPORTED = {"AlexNet, 2012": 15.3, "VGG, 2014": 7.3, "GoogLeNet, 2014": 6.7, "ResNet, 2015": 3.6}
costs = {name: summary(name) for name in ("alexnet_paper", "vgg16", "googlenet_paper")}
dense = {name: sum(x.parameters for x in cost.layers if x.kind == "dense") for name, cost in costs.items()}

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", num="networks")
left.bar(list(REPORTED), list(REPORTED.values()), color="tab:blue")
left.axhline(5.1, color="black", linestyle="--")
left.text(3, 5.4, "a person: 5.1 %", ha="center", fontsize=8)
left.set_title("top-5 error, %", fontsize=10)
names = ["AlexNet", "VGG-16", "GoogLeNet"]
right.bar(names, [cost.params / 1e6 for cost in costs.values()], color="tab:orange", label="in fully connected layers")
right.bar(names, [(cost.params - dense[name]) / 1e6 for name, cost in costs.items()], label="in convolutions")
right.set_title("parameters, millions", fontsize=10)
right.legend(fontsize=8)
left.tick_params(axis="x", labelsize=7)

# %% [markdown]
# `summary` counts parameters and **MACs**: a multiplication with an addition each, so two **FLOPs** (floating-point
# operations). On the command line: `cnn-jax summary alexnet vgg16 googlenet`.

# %%
print({name: f"{cost.params / 1e6:.1f} M" for name, cost in costs.items()})
# {'alexnet_paper': '61.0 M', 'vgg16': '138.4 M', 'googlenet_paper': '7.0 M'}
print({name: f"{cost.flops / 1e9:.1f} G" for name, cost in costs.items()})
# {'alexnet_paper': '1.4 G', 'vgg16': '30.9 G', 'googlenet_paper': '3.2 G'}
assert all(cost.flops == 2 * cost.macs for cost in costs.values())

# %% [markdown]
# **LeNet-5 (1998)** alternates convolution and pooling, and ends in fully connected layers: [page 2](2_network.py).
#
# **AlexNet (2012)** is the same, but large: 224×224 images, 61 million parameters, ReLU, dropout. So many parameters
# need much data, hence augmentation ([page 6](6_augmentation.py)).
#
# In AlexNet and VGG, most parameters stand behind the flattening. **GoogLeNet** and **ResNet** take the mean of each
# map instead (global average pooling), and need a single small layer after it.

# %%
print({name: f"{dense[name] / cost.params:.0%}" for name, cost in costs.items()})
# {'alexnet_paper': '96%', 'vgg16': '89%', 'googlenet_paper': '15%'}

# %% [markdown]
# ## VGG (2014): 3×3 everywhere
#
# A 5×5 filter has 25 weights. A 3×3 filter that moves around in the same 5×5 pixels has nine, and then a second one
# looks at its 3×3 answers: both together see the 5×5 with 18 weights, and have one more ReLU.

# %%
five, three = jnp.ones((5, 5, 1, 1)), jnp.ones((3, 3, 1, 1))
print(five.size, three.size, 2 * three.size)  # 25 9 18

pixels = jnp.ones((1, 5, 5, 1))
once = conv2d(pixels, three, padding="VALID")
print(once.shape, conv2d(once, three, padding="VALID").shape)  # (1, 3, 3, 1) (1, 1, 1, 1)

# %% [markdown]
# One place is left, and its **receptive field** is all 25 pixels. Proof: light one pixel at a time, in 25 images.

# %%
one_each = jnp.eye(25).reshape(25, 5, 5, 1)
seen = conv2d(conv2d(one_each, three, padding="VALID"), three, padding="VALID")
assert (seen > 0).all()

# %% [markdown]
# VGG's stages have 64, 128, 256 and 512 channels. Where max pooling halves the size, the channels double:

# %%
vgg = create_model("vgg16")
shapes = abstract_variables(vgg, (224, 224, 3))
maps = jax.eval_shape(lambda v: features(vgg, v, jnp.zeros((1, 224, 224, 3))), shapes)
print([maps[f"stage{i}"].shape[1:] for i in (1, 2, 3, 4, 5)])
# [(112, 112, 64), (56, 56, 128), (28, 28, 256), (14, 14, 512), (7, 7, 512)]

# %% [markdown]
# **GoogLeNet (2014)** looks through filters of several sizes at once, and **ResNet (2015)** lets layers be skipped.
# Both are taken apart on [page 5](5_blocks.py).
#
# Is deeper more accurate? With plain networks, only up to a point:
# [`residual_depth.py`](../ablations/residual_depth.py) asks nine seeds on the digits. `list_models` names all
# networks, `cnn-jax models` their papers.

# %%
assert {"lenet5", "alexnet", "vgg19", "googlenet", "resnet152"} <= set(list_models())

# %% [markdown]
# **In the code:** [`models/alexnet.py`](../../cnn_jax/models/alexnet.py),
# [`models/vgg.py`](../../cnn_jax/models/vgg.py), [`models/googlenet.py`](../../cnn_jax/models/googlenet.py),
# [`models/resnet.py`](../../cnn_jax/models/resnet.py). Do they compute what the originals do? [The parity
# tables](../../tests/parity/README.md) say how closely. **Next:** [the blocks](5_blocks.py).
