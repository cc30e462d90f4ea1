# %% [markdown]
# # 6. More images from the same ones
#
# Many parameters need much data. **Augmentation** makes new images from old ones, with the same label.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from cnn_jax import load_dataset
from cnn_jax.data import apply_augment, parse_augment

train = load_dataset("digits", "train")
index = np.array([5, 11, 2, 7])
digits = train.images(index)
print(train.labels[index].tolist())  # [0, 8, 3, 2]

# %% [markdown]
# ## Four ways to change a digit
#
# An augmentation is written as text, as in an experiment's `data.augment`. The digits are gray; here each gets a
# tint, so that `grayscale` has something to take away.

# %%
SPECS = ("grayscale()", "rotate90()", "pad_crop(1)", "horizontal_flip()")
tints = np.array([[1.0, 0.5, 0.2], [0.3, 0.8, 1.0], [0.5, 1.0, 0.4], [1.0, 0.4, 0.9]])
images = jnp.asarray(digits * tints[:, None, None], jnp.uint8)
augment = jax.jit(apply_augment, static_argnums=0)

address = jnp.asarray(index, jnp.int32)
epoch = jnp.zeros(4, jnp.int32)
changed = {spec: augment(parse_augment([spec]), images, seed=0, epoch=epoch, index=address) for spec in SPECS}

figure, axes = plt.subplots(4, 5, figsize=(7, 5.7), layout="constrained", num="augmentation")
for column, (title, made) in enumerate({"tinted": images, **changed}.items()):
    axes[0, column].set_title(title, fontsize=9)
    for row in range(4):
        axes[row, column].imshow(np.asarray(made[row], np.uint8))
        axes[row, column].set_axis_off()

# %% [markdown]
# The size stays, and so does the label. `grayscale` leaves three equal channels; `pad_crop(1)` puts a black frame of
# one pixel around the image and cuts the old size out at a random place, which moves the digit.

# %%
assert all(made.shape == images.shape for made in changed.values())
gray = changed["grayscale()"]
assert jnp.array_equal(gray[..., 0], gray[..., 1]) and jnp.array_equal(gray[..., 1], gray[..., 2])

framed = jnp.pad(images[0], ((1, 1), (1, 1), (0, 0)))
cuts = [framed[i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
assert any(jnp.array_equal(changed["pad_crop(1)"][0], cut) for cut in cuts)

# %% [markdown]
# `rotate90` turns by 0, 90, 180 or 270 degrees; `horizontal_flip` mirrors every other image, on average. So some rows
# of the picture stay as they were.

# %%
assert any(jnp.array_equal(changed["rotate90()"][0], jnp.rot90(images[0], quarter)) for quarter in range(4))
mirrored = [
    bool(jnp.array_equal(made, image[:, ::-1]))
    for made, image in zip(changed["horizontal_flip()"], images, strict=True)
]
print(mirrored)  # [False, True, True, True]

# %% [markdown]
# ## Random, and yet the same again
#
# What is drawn for an image depends on its **address** alone: the seed, the epoch and the image's number. The same
# address gives the same image, whatever else is in the batch. Another epoch gives another.

# %%
crop = parse_augment(["pad_crop(1)"])
alone = augment(crop, images[2:3], seed=0, epoch=epoch[:1], index=address[2:3])
assert jnp.array_equal(alone[0], changed["pad_crop(1)"][2])
epochs = [augment(crop, images, seed=0, epoch=epoch + e, index=address)[2].tobytes() for e in range(8)]
assert len(set(epochs)) > 1

# %% [markdown]
# ## The label has to stay true
#
# A turned 6 is a 9, and a mirrored 3 is no digit. Nine seeds on tinted digits, 20 of each class: only grayscale
# helped; rotation, flip and crop cost 6 to 18 points ([`augmentation.py`](../ablations/augmentation.py)). On
# photographs a mirrored cat is still a cat. **An augmentation has to fit the data.**
#
# **In the code:** [`augmentation/chain.py`](../../cnn_jax/data/augmentation/chain.py); `cnn-jax parts` lists them
# all. **Next:** [training](7_training.py).
