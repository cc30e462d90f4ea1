"""What every network here has in common: its fields, its named features, its classifier."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.models.options import ModelOptions
from cnn_jax.modules import Dropout, Layers, parameter_dtype


class Network(nn.Module):
    """Base of all models: `model.apply(variables, images, train=…)` takes NHWC images and returns logits.

    Args:
      num_classes: width of the classifier, `head`; 0 leaves it out and returns what it would have seen.
      dtype: dtype of the computation. Parameters, statistics and logits are float32, or float64 where this is float64.
      options: the choices of this network, complete (`create_model` fills in the published ones).
    """

    num_classes: int = 1000
    dtype: Any = jnp.float32
    options: ModelOptions = ModelOptions()

    @property
    def aux_weight(self) -> dict[str, float]:
        """Weight of each auxiliary loss, by the feature that holds its logits in training; empty without any."""
        return {}

    def layers(self, **changes: Any) -> Layers:
        """The `Layers` that the options describe; `changes` are further fields of it, such as `epsilon`."""
        options = self.options
        choices = {"activation": options.activation, "norm": options.norm, "init": options.init, "remat": options.remat}
        given = {k: v for k, v in (choices | changes).items() if v is not None}
        return Layers(dtype=self.dtype, **given)

    def scaled(self, channels: int, multiple_of: int = 1) -> int:
        """`channels` times the option `width`, rounded to a multiple that is at least one."""
        return multiple_of * max(1, round(channels * (self.options.width or 1.0) / multiple_of))

    def take(self, images: Float[Array, "n h w c"], minimum_size: int = 1) -> Float[Array, "n h w c"]:
        """The images in the compute dtype, after checking them.

        Raises:
          TypeError: for integers, which have not been normalised.
          ValueError: for another rank than four, or a side below `minimum_size`.
        """
        name = type(self).__name__
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise TypeError(f"{name} takes normalised floating-point images, got {images.dtype}.")
        if images.ndim != 4:
            raise ValueError(f"{name} takes images of shape [batch, height, width, channels], got {images.shape}.")
        if min(images.shape[1:3]) < minimum_size:
            height, width = images.shape[1:3]
            raise ValueError(
                f"{name} needs images of at least {minimum_size}×{minimum_size}, got {height}×{width}; "
                "resize or pad them in the data pipeline."
            )
        return images.astype(self.dtype)

    def expose(self, name: str, x: Array) -> Array:
        """Names `x` as a feature of the network, to be read through `features`, and passes it on."""
        if not self.is_initializing():
            self.sow("features", name, x, init_fn=lambda: None, reduce_fn=lambda _, new: new)
        return x

    def dropout(self, name: str, x: Array, train: bool) -> Array:
        """`x` with the option `dropout`'s share of its values dropped in training."""
        return Dropout(self.options.dropout or 0.0, name=name)(x, train=train)

    def classify(self, x: Float[Array, "n c"]) -> Float[Array, "n classes"]:
        """Logits in full precision, exposed under that name; for `num_classes` 0 the features `x` themselves."""
        if self.num_classes == 0:
            return x.astype(parameter_dtype(self.dtype))
        return self.expose("logits", self.layers().head(self.num_classes)(x))


def features(model: nn.Module, variables: dict, images: Float[Array, "n h w c"]) -> dict[str, Array]:
    """What a network makes of images on the way: `stem`, `stage1` …, `pool`, `logits`, in evaluation mode.

    Args:
      model: from `create_model`.
      variables: "params", and "batch_stats" where it has them.
      images: normalised, NHWC.

    Returns:
      The named features; maps are NHWC.

    Example:
      >>> import jax
      >>> from cnn_jax.models import create_model, initialize
      >>> model = create_model("lenet5")
      >>> variables = initialize(model, {"params": jax.random.key(0)}, (28, 28, 1))
      >>> {name: x.shape[1:] for name, x in features(model, variables, jnp.zeros((1, 28, 28, 1))).items()}
      {'stem': (28, 28, 6), 'stage1': (14, 14, 6), 'stage2': (10, 10, 16), 'pool': (5, 5, 16), 'logits': (10,)}
    """
    _, state = model.apply(variables, images, train=False, mutable=["features"])
    return dict(state["features"])
