# %% [markdown]
# # 1. A filter on a digit
#
# A convolutional network looks at an image through small filters. This page moves four of them over a digit by hand:
# convolution, padding, strides, channels.
#
# Behind each `print` stands what it prints.

# %%
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from cnn_jax import conv2d, load_dataset

# %% [markdown]
# ## An image is a table of numbers
#
# The digits come with scikit-learn: 8×8 pixels from 0 (paper) to 255 (ink). This one is a 9.

# %%
test = load_dataset("digits", "test")
digit = test.images(np.array([11]))
print(digit.shape, test.labels[11])  # (1, 8, 8, 1) 9
print(digit[0, 0, :, 0].tolist())  # [0, 0, 207, 159, 16, 0, 0, 0]

# %% [markdown]
# The shape is **NHWC**: number of images, height, width, channels. Every array of images here has this order.
# (PyTorch and many lectures write NCHW; `images.transpose(0, 2, 3, 1)` brings theirs here.)
#
# ## Four filters
#
# A **filter**, or **kernel**, is a small table of weights. These four are made by hand. A network learns its own.

# %%
FILTERS = {
    "edges, left to right": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "edges, top to bottom": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "blur": [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
    "edges all around": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
}
image = jnp.asarray(digit, jnp.float32)
kernel = jnp.stack([jnp.array(table, jnp.float32) for table in FILTERS.values()], axis=-1)[:, :, None]
maps = conv2d(image, kernel, padding=1)

figure, axes = plt.subplots(2, 5, figsize=(9, 4.2), layout="constrained", num="convolution")
axes[0, 0].imshow(digit[0, :, :, 0], cmap="gray_r")
axes[0, 0].set_title("8×8 pixels", fontsize=9)
for column, name in enumerate(FILTERS, start=1):
    weights, made = np.asarray(kernel[:, :, 0, column - 1]), np.asarray(maps[0, :, :, column - 1])
    axes[0, column].imshow(weights, cmap="RdBu", vmin=-abs(weights).max(), vmax=abs(weights).max())
    for (row, place), weight in np.ndenumerate(weights):
        colour = "white" if abs(weight) > 0.7 * abs(weights).max() else "black"
        axes[0, column].text(place, row, f"{weight:.0f}", ha="center", va="center", color=colour)
    axes[0, column].set_title(name, fontsize=9)
    axes[1, column].imshow(made, cmap="RdBu", vmin=-abs(made).max(), vmax=abs(made).max())
axes[1, 0].text(0.5, 0.5, "their maps →", ha="center", va="center", transform=axes[1, 0].transAxes)
for ax in axes.flat:
    ax.set_axis_off()

# %% [markdown]
# Above: the digit, each filter, and below it the **feature map** that it makes. Blue is above zero, red below. From
# left to right, the first filter answers blue where ink begins, and red where it ends.
#
# ## Convolution
#
# Lay the filter on the image. Multiply each weight by the pixel under it (the **Hadamard product**) and add the nine
# products up. That is one pixel of the map.

# %%
patch, edges = image[0, 2:5, 2:5, 0], kernel[:, :, 0, 0]
print(patch.tolist())  # [[255.0, 128.0, 223.0], [223.0, 255.0, 255.0], [16.0, 64.0, 143.0]]
print((patch * edges).tolist())  # [[-255.0, 0.0, 223.0], [-446.0, 0.0, 510.0], [-16.0, 0.0, 143.0]]
print((patch * edges).sum())  # 159.0

# %% [markdown]
# `conv2d` does this at every place. Without **padding**, a 3×3 filter fits into 8×8 pixels at 6×6 places: a k×k
# filter takes k − 1 pixels away.

# %%
valid = conv2d(image, kernel[..., :1], padding="VALID")
print(valid.shape, valid[0, 2, 2, 0])  # (1, 6, 6, 1) 159.0

# %% [markdown]
# Written out, convolution is two loops over the places. (The library's form is faster, and gives the same.)

# %%
places = [[(image[0, i : i + 3, j : j + 3, 0] * edges).sum() for j in range(6)] for i in range(6)]
assert jnp.array_equal(jnp.array(places), valid[0, :, :, 0])

# %% [markdown]
# ## Padding and strides
#
# A frame of zeros, one pixel wide, keeps the size: `padding=1`. It changes nothing inside. A **stride** of 2 moves
# the filter two pixels at a time, and halves the map.

# %%
print(maps.shape)  # (1, 8, 8, 4)
assert jnp.array_equal(maps[0, 1:7, 1:7, 0], valid[0, :, :, 0])
print(conv2d(image, kernel, padding=1, strides=2).shape)  # (1, 4, 4, 4)

# %% [markdown]
# ## Channels
#
# A filter is as deep as its input. On a colour image a 3×3 filter has 3×3×3 weights, and it still gives **one** map:
# it sums over the channels, too. Many filters give many maps, and these are the channels of the next layer.
#
# So a kernel has four sides, **HWIO**: height, width, input channels, output channels.

# %%
rgb, filters = jnp.ones((1, 32, 32, 3)), jnp.ones((3, 3, 3, 64))
print(conv2d(rgb, filters).shape)  # (1, 32, 32, 64)
print(conv2d(rgb, filters)[0, 16, 16, 0])  # 27.0

by_channel = [conv2d(rgb[..., c : c + 1], filters[:, :, c : c + 1]) for c in range(3)]
assert jnp.array_equal(conv2d(rgb, filters), by_channel[0] + by_channel[1] + by_channel[2])

# %% [markdown]
# **In the code:** [`ops/conv.py`](../../cnn_jax/ops/conv.py). **Next:** [pooling, and a whole network](2_network.py).
