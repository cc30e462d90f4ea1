"""What every network here has in common: its fields, its named features, its classifier."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.modules import Dropout, Layers, parameter_dtype

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
Norm = Literal["batch", "group", "layer", "none"]
KernelInit = Literal["he", "xavier", "lecun", "normal"]
Pool = Literal["max", "avg"]
Stem = Literal["imagenet", "cifar"]
ShortcutKind = Literal["A", "B", "C", "none"]
FiveByFive = Literal["5x5", "3x3_twice", "3x3"]
Variant = Literal["published", "keras"]


class Network(nn.Module):
    """Base of all models: `model.apply(variables, images, train=…)` takes NHWC images and returns logits.

    Args:
      num_classes: width of the classifier, `head`; 0 leaves it out and returns what it would have seen.
      dtype: dtype of the computation. Parameters, statistics and logits are float32, or float64 where this is float64.
      activation: The non-linearity after every convolution and hidden layer.
      norm: Normalisation after convolutions: over the batch, 32 groups of channels, a whole example, or none.
      kernel_init: Kernels: He 2015 √(2/N), Glorot 2010, LeCun 1/√N, or N(0, 0.01²) as in 2012.
      width: Factor on all hidden channels and units.
      dropout: Share of units dropped in training, where the network has dropout, or before the classifier.
      hidden: Units of one more layer before the classifier, `head_hidden`, with the activation; 0 as published.

    Raises:
      ValueError: for a width, a rate or a number of units out of its range.
    """

    num_classes: int = 1000
    dtype: Any = jnp.float32
    activation: Activation = "relu"
    norm: Norm = "batch"
    kernel_init: KernelInit = "he"
    width: float = 1.0
    dropout: float = 0.0
    hidden: int = 0

    structure: ClassVar[tuple[str, ...]] = ()
    """The fields that tell the networks of a family apart: another value is another network, and no option of it."""

    def __post_init__(self) -> None:
        if not 0 < self.width <= 1000:
            raise ValueError(f"`width` must be positive, and at most 1000, got {self.width}; 1 is as published.")
        for name in ("dropout", "drop_path"):
            rate = getattr(self, name, 0.0)
            if not 0 <= rate < 1:
                raise ValueError(f"`{name}` must be at least 0 and below 1, got {rate}.")
        if self.hidden < 0:
            raise ValueError(f"`hidden` must be a number of units, or 0 for none, got {self.hidden}.")
        super().__post_init__()

    @property
    def aux_weight(self) -> dict[str, float]:
        """Weight of each auxiliary loss, by the feature that holds its logits in training; empty without any."""
        return {}

    def layers(self, **changes: Any) -> Layers:
        """The `Layers` of this network; `changes` are further fields of it, such as `epsilon`."""
        return Layers(self.dtype, self.activation, self.norm, self.kernel_init, **changes)

    def scaled(self, channels: int, multiple_of: int = 1) -> int:
        """`channels` times the width, rounded to a multiple that is at least one."""
        return multiple_of * max(1, round(channels * self.width / multiple_of))

    def check_images(self, images: Float[Array, "n h w c"], minimum_size: int = 1) -> Float[Array, "n h w c"]:
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

    def drop(self, name: str, x: Array, train: bool) -> Array:
        """`x` with the share `dropout` of its values dropped in training."""
        return Dropout(self.dropout, name=name)(x, train=train)

    def classify(self, x: Float[Array, "n c"]) -> Float[Array, "n classes"]:
        """Logits in full precision, exposed under that name; for `num_classes` 0 the features `x` themselves."""
        if self.num_classes == 0:
            return x.astype(parameter_dtype(self.dtype))
        layers = self.layers()
        if self.hidden:
            x = layers.activate(layers.dense("head_hidden", self.hidden)(x))
        return self.expose("logits", layers.head(self.num_classes)(x))


def features(model: nn.Module, variables: Mapping[str, Any], images: Float[Array, "n h w c"]) -> dict[str, Array]:
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
