"""For which network, classes and images a weights file is: written into it, and compared when it is read."""

import dataclasses
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flax import linen as nn

from cnn_jax.models import MODELS
from cnn_jax.paths import local_path
from cnn_jax.weights import stated
from cnn_jax.weights.files import WeightsError, read_metadata

_KEY = "cnn_jax"  # of safetensors' metadata

# The options that change what is computed from the same numbers; how a network is trained or started does not.
_COMPUTED = ("activation", "norm", "stem", "width", "shortcut", "pool", "five_by_five", "connections", "variant")


@dataclasses.dataclass(frozen=True)
class Description:
    """What a file says of itself.

    Args:
      network: name in our registry, or timm's where that is no name of ours.
      options: those that depart from the published network.
      num_classes: of the classifier; None where it is not said.
      class_names: in the order of the outputs; empty where they are not said.
      input: how images are prepared, as `InputConvention.as_dict` gives it; empty where it is not said.
    """

    network: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    num_classes: int | None = None
    class_names: tuple[str, ...] = ()
    input: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def same_network(self, other: "Description") -> bool:
        """Whether the same numbers compute the same."""
        return self.network == other.network and dict(self.options) == dict(other.options)

    def __str__(self) -> str:
        choices = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.network} with {choices}" if choices else self.network


def describe(model: nn.Module) -> Description | None:
    """The registry's name for a network, and its departures from the published one; None for one of your own."""
    found = []
    for name, entry in MODELS.items():
        if entry.family is not type(model):
            continue
        published = entry.constructor(model.num_classes, model.dtype)
        if all(getattr(model, k) == getattr(published, k) for k in entry.family.structure):
            computed = {k: getattr(model, k) for k in _COMPUTED if k in entry.options}
            changes = {k: v for k, v in computed.items() if v != getattr(published, k)}
            found.append(Description(name, changes, model.num_classes))
    return min(found, key=lambda description: len(description.options), default=None)


def to_metadata(description: Description) -> dict[str, str]:
    """As safetensors keeps it."""
    return {_KEY: json.dumps(dataclasses.asdict(description), sort_keys=True)}


def read_description(path: Path | str) -> Description | None:
    """What our own metadata in a `.safetensors` file say; None where there are none.

    Raises:
      WeightsError: where they are damaged.
    """
    path = local_path(path, "FILE", utf8=False)
    text = read_metadata(path).get(_KEY)
    if text is None:
        return None
    try:
        found = Description(**stated.mapping(json.loads(text), _KEY))
        count = found.num_classes
        if count is not None and (stated.number(count, "num_classes") < 1 or not isinstance(count, int)):
            raise ValueError(f"`num_classes` is {count!r} in place of a number of classes")
        return dataclasses.replace(
            found,
            network=stated.text(found.network, "network"),
            options=stated.mapping(found.options, "options"),
            class_names=stated.texts(found.class_names, "class_names"),
            input=stated.mapping(found.input, "input"),
        )
    except stated.WRONG as error:
        raise WeightsError(f"`{path}`: what it says of its network cannot be read ({error}).") from error


def check_classes(path: Path | str, ours: tuple[str, ...], remedy: str) -> None:
    """Refuse a classifier whose outputs mean other classes than a data set's, where the file says what they mean.

    Args:
      ours: the classes of the data set, in the order of the labels.
      remedy: what to do, for the message.

    Raises:
      WeightsError: where they differ, or as `read_description`.
    """
    description = read_description(path)
    theirs = description.class_names if description else ()
    if theirs and theirs != ours:
        left, right = next((a, b) for a, b in itertools.zip_longest(theirs, ours) if a != b)
        raise WeightsError(
            f"`{path}` is for other classes than the data set's: {left!r} stands in the place of {right!r}; {remedy}."
        )
