# %% [markdown]
# # 9. An image drawn out of a network
#
# A trained network turns an image into a class. Can it go the other way, and show what it takes for a 3? This page
# trains LeNet-5 twice, draws the ten digits out of the first, and asks the second what they are. It takes a minute.

# %%
import tempfile
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Array

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig, open_run, training_events
from cnn_jax.inspect import draw_image, first_filters, grad_cam, total_variation

# %% [markdown]
# ## Two runs
#
# From here on the trainer does what [page 7](7_training.py) wrote out. `Config` is the whole experiment: LeNet-5 on
# the digits, enlarged to 28×28, for 15 epochs. A run is a folder; `open_run` gives its network, and what it has
# learned.


# %%
def trained(seed: int) -> tuple[Any, Any]:
    config = Config(
        model=ModelConfig("lenet5"),
        data=DataConfig("digits", batch_size=64, augment=("resize(28)", "pad_crop(3)"), eval_augment=("resize(28)",)),
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=1e-3, schedule="cosine", warmup_fraction=0.05),
        train=TrainConfig(epochs=15, test="never"),
        seed=seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        for _ in training_events(config, folder):
            pass
        run = open_run(folder)
        return run, run.variables()


(run, variables), (_, of_the_other) = trained(seed=0), trained(seed=1)
test = run.dataset("test")
digits, labels = test.images(np.arange(len(test))), test.labels
answers = run.logits(variables, digits).argmax(axis=1)
print(f"{(answers == labels).mean():.0%}")  # 9…%

# %% [markdown]
# ## Follow the gradient to the pixels
#
# Training changes the weights and leaves the images as they are. Now the weights stay, and the **image** changes. It
# begins gray and follows the gradient of the score of a class (**activation maximisation**). The simplest network
# shows it: one layer on 28×28×1 pixels, flattened to one line. The gradient of its score for a 3 is an image: the
# weights of class 3.

# %%
weights = jnp.asarray(np.random.default_rng(0).normal(size=(28 * 28, 10)), jnp.float32)
slope = jax.grad(lambda image: (image.reshape(1, -1) @ weights)[0, 3])(jnp.zeros((1, 28, 28, 1)))
assert jnp.array_equal(slope.reshape(-1), weights[:, 3])

# %% [markdown]
# LeNet-5's gradient points elsewhere after each step, so `draw_image` takes 256 of them, for all ten classes at once.
# With `smoothness` it also lowers the differences of neighbouring pixels; without, it does not care.

# %%
mean, deviation = run.info.mean[0], run.info.std[0]
black, white = -mean / deviation, (1 - mean) / deviation  # the darkest and the lightest pixel, as the network sees them
smooth, rough = (
    draw_image(run.model, variables, (28, 28, 1), range(10), low=(black,), high=(white,), smoothness=smoothness)
    for smoothness in (0.15, 0.0)
)
first_of_each = np.array([np.flatnonzero((labels == digit) & (answers == digit))[0] for digit in range(10)])
real = jax.image.resize(digits[first_of_each] / 255, (10, 28, 28, 1), "bilinear") * (white - black) + black
where = grad_cam(run.model, variables, real, "stage2", jnp.arange(10))

figure, axes = plt.subplots(4, 10, figsize=(9, 4), layout="constrained", num="drawn")
shown = {"not smoothed": rough, "drawn": smooth, "a test digit": real, "Grad-CAM": real}
for row, (title, images) in enumerate(shown.items()):
    axes[row, 0].set_ylabel(title, fontsize=8)
    for column in range(10):
        axes[row, column].imshow(images[column, :, :, 0], cmap="gray_r", vmin=black, vmax=white)
        axes[row, column].set(xticks=[], yticks=[])
for column in range(10):
    axes[3, column].imshow(where[column], cmap="Reds", alpha=0.6, extent=(-0.5, 27.5, 27.5, -0.5))

# %% [markdown]
# ## Is it a digit?
#
# With some good will one sees a 1, a 4, a 6 and a 7 in the second row, and little in the first. But the networks call
# nearly all of both rows by their class. How many of ten, with 99 % for the network that they were drawn from, and 90
# % for the other?


# %%
def sure(variables: Any, images: Array) -> Array:
    """The probability that a network gives drawing k for class k."""
    return jnp.diagonal(jax.nn.softmax(run.model.apply(variables, images, train=False)))


own = [(sure(variables, x) >= 0.99).sum().item() for x in (smooth, rough)]
other = [(sure(of_the_other, x) >= 0.9).sum().item() for x in (smooth, rough)]
print(own, other)  # [10, 10] […]
assert min(other) >= 8

# %% [markdown]
# So a network's certainty is no proof that there is a digit: nothing in training taught it what is **no** digit.
# Smoothness is our wish, not its own. Here it was chosen so that neighbouring pixels differ as much as in real
# digits, on average 0.1 on a scale of 0 to 1:

# %%
print([f"{total_variation(x).mean() * deviation:.1f}" for x in (smooth, real, rough)])  # ['0.1', '0.1', '0.2']

# %% [markdown]
# ## Where did it look?
#
# **Grad-CAM** (the last row) asks of a real image which places spoke for its class: the maps of the last convolution,
# each weighted by the gradient of the score. And the first filters are small images themselves:

# %%
print(where.shape, first_filters(run.model, variables, (28, 28, 1)).shape)  # (10, 10, 10) (5, 5, 1, 6)
assert (where >= 0).all()

# %% [markdown]
# **In the code:** [`inspect/activation_maximization.py`](../../cnn_jax/inspect/activation_maximization.py),
# [`inspect/class_activation.py`](../../cnn_jax/inspect/class_activation.py). That was the lecture. Now [change
# something](../README.md), and ask nine seeds whether it helped.
