"""What an ablation may change in a network. Imports neither jax nor flax: the command line builds its flags from it."""

import dataclasses
import difflib
from typing import Any, Literal, get_args, get_type_hints


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Departures from the published network; None keeps what was published. A model refuses what it has no use for.

    Raises:
      ValueError: for a value outside those listed, or outside its range.
    """

    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"] | None = None
    """The non-linearity after every convolution and hidden layer."""
    norm: Literal["batch", "group", "layer", "none"] | None = None
    """Normalisation after convolutions: over the batch, 32 groups of channels, a whole example, or none."""
    init: Literal["he", "xavier", "lecun", "normal"] | None = None
    """Kernels: He 2015 √(2/N), Glorot 2010, LeCun 1/√N, or N(0, 0.01²) as in 2012."""
    zero_init_scale: bool | None = None
    """Start the last normalisation of every residual branch at scale zero (Goyal et al. 2017)."""
    stem: Literal["imagenet", "cifar"] | None = None
    """7×7 stride 2 and a 3×3 pooling, or one 3×3 convolution for images of about 32×32."""
    width: float | None = None
    """Factor on all hidden channels and units."""
    dropout: float | None = None
    """Share of units dropped in training, where the network has dropout (before the classifier, if nowhere else)."""
    drop_path: float | None = None
    """Stochastic depth: rate of the last block, rising linearly from zero (Huang et al. 2016)."""
    shortcut: Literal["A", "B", "C", "none"] | None = None
    """He et al. 2015, §4.1: zero padding, 1×1 where the shape changes, 1×1 everywhere; or the plain twin."""
    pool: Literal["max", "avg"] | None = None
    """What down-samples: the maximum or the mean of a window."""
    five_by_five: Literal["5x5", "3x3_twice", "3x3"] | None = None
    """The 5×5 convolutions: 25 weights, two 3×3 with 18 and the same view, or one 3×3 as in torchvision's GoogLeNet."""
    connections: Literal["full", "sparse"] | None = None
    """LeNet-5's third layer: to all six maps, or by table I of the 1998 paper."""
    variant: Literal["published", "keras"] | None = None
    """Where Keras's network of this name departs from the paper's; the model says how."""
    aux: bool | None = None
    """Auxiliary classifiers, whose loss helps the middle of the network in training."""
    remat: bool | None = None
    """Recompute each block's activations in the backward pass: less memory, about a third more work."""


def resolve(options: ModelOptions, published: ModelOptions, model: str) -> ModelOptions:
    """The published choices of `model` with `options` laid over them.

    Args:
      options: what the user asks for; None in a field keeps the published choice.
      published: the choices of the paper; None in a field says that it does not apply to this network.
      model: name for the message.

    Raises:
      ValueError: for an option that does not apply, or a value that it cannot have.
    """
    _check(options)
    asked: dict[str, Any] = {k: v for k, v in dataclasses.asdict(options).items() if v is not None}
    applicable = [k for k, v in dataclasses.asdict(published).items() if v is not None]
    for name in asked:
        if name not in applicable:
            raise ValueError(f"`{name}` is no option of {model}; it takes {', '.join(applicable)}.")
    return dataclasses.replace(published, **asked)


def _check(options: ModelOptions) -> None:
    for name, hint in get_type_hints(ModelOptions).items():
        choices = [choice for literal in get_args(hint) for choice in get_args(literal)]
        value = getattr(options, name)
        if value is not None and choices and value not in choices:
            close = difflib.get_close_matches(str(value), choices, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"`ModelOptions.{name}` must be one of {', '.join(choices)}, got {value!r}.{hint}")
    if options.width is not None and options.width <= 0:
        raise ValueError(f"`ModelOptions.width` must be positive, got {options.width}; use 1 for the published width.")
    for name in ("dropout", "drop_path"):
        rate = getattr(options, name)
        if rate is not None and not 0 <= rate < 1:
            raise ValueError(f"`ModelOptions.{name}` must be at least 0 and below 1, got {rate}.")
