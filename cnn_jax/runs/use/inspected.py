"""What the pictures of a run are made of."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from cnn_jax.data import Dataset, eval_batches
from cnn_jax.data.subset import Subset
from cnn_jax.inspect.feature_names import Shape, logits, with_feature
from cnn_jax.runs.evaluation import Answers, answers
from cnn_jax.runs.folder.run import Run
from cnn_jax.runs.session import Session
from cnn_jax.runs.splits import seen_at_evaluation
from cnn_jax.runs.use.evaluation import validation_temperature
from cnn_jax.training.step import evaluation_inputs

_POINTS, _TOGETHER = 2000, 100  # examples of the split in the space of a feature; images in one call
_NUMBERS = 4096  # of a feature of one image: of more, each channel's mean over all places is taken


@dataclasses.dataclass(frozen=True)
class Inspected:
    """A network, some images, and the split that it is measured on.

    Attributes:
      take: brings images as the data set holds them to what the network takes.
      inputs: the images so.
      labels, index: their classes, and their places in the split, where they are of it.
      titles: what each is called.
      names: of the classes.
      maps: the features to look at, by name, with their shapes for one image: that asked for, or all that are maps.
      feature, chosen: the feature and the class that were asked for.
      split, dataset: the split; None where it cannot be read, for the reason `why`.
    """

    run: Run
    session: Session
    variables: dict[str, Any]
    take: Callable[[UInt8[Array, "b h w c"]], Float[Array, "b h2 w2 c2"]]
    inputs: Float[Array, "n h w c"]
    labels: Int[np.ndarray, "n"] | None
    index: Int[np.ndarray, "n"] | None
    titles: tuple[str, ...]
    names: tuple[str, ...]
    maps: Mapping[str, Shape]
    feature: str | None
    chosen: int | None
    split: str
    dataset: Dataset | None
    why: str

    @property
    def looked_into(self) -> tuple[Any, dict[str, Any]]:
        """The network and its variables, which every look begins with."""
        return self.session.model, self.variables

    @property
    def facts(self) -> list[str]:
        """What the page is about, each in a few words."""
        said = [f"class explained: {self.names[self.chosen]}"] if self.chosen is not None else []
        said += [f"feature: {self.feature}"] if self.feature else []
        return [*said, *([f"{len(self.dataset):,} {self.split} images"] if self.dataset is not None else [])]

    @property
    def black(self) -> Float[np.ndarray, "c"]:
        """What black is to the network."""
        info = self.session.info
        return -np.asarray(info.mean, np.float32) / np.asarray(info.std, np.float32)

    @property
    def white(self) -> Float[np.ndarray, "c"]:
        """What white is to the network."""
        return self.black + 1 / np.asarray(self.session.info.std, np.float32)

    def pixels(self, inputs: Float[Array, "n h w c"]) -> Float[np.ndarray, "n h w c"]:
        """What the network takes, from 0, black, to 1."""
        return (np.asarray(inputs, np.float32) - self.black) / (self.white - self.black)

    @functools.cached_property
    def probabilities(self) -> Float[np.ndarray, "n k"]:
        """Of the images."""
        model, variables = self.looked_into
        return np.asarray(jax.nn.softmax(jax.jit(lambda v, x: logits(model, v, x))(variables, self.inputs)))

    @functools.cached_property
    def predicted(self) -> Int[np.ndarray, "n"]:
        """The most probable class of each image."""
        return self.probabilities.argmax(1)

    @property
    def explained(self) -> Int[np.ndarray, "n"]:
        """The class of each image whose logit is explained."""
        return self.predicted if self.chosen is None else np.full_like(self.predicted, self.chosen)

    @property
    def map_explained(self) -> str:
        """The feature that was asked for; or the last map before the one that is pooled for the classifier."""
        return next((name for name in reversed(list(self.maps)) if name != "pool"), "pool")

    @functools.cached_property
    def answers(self) -> Answers | None:
        """The logits of the split."""
        return None if self.dataset is None else answers(self.session, self.variables, self.dataset)

    @functools.cached_property
    def temperature(self) -> tuple[float, str]:
        """The best for the validation split; or 1, and why there is none."""
        known = self.answers if self.split == "validation" else None
        return validation_temperature(self.run, self.session, self.variables, known)

    @functools.cached_property
    def space(self) -> tuple[str, Float[np.ndarray, "m d"], Float[np.ndarray, "n d"], Int[np.ndarray, "m"]] | None:
        """A feature's name; its values for the split and for the images; and which of the split they are of."""
        if self.dataset is None:
            return None
        name = self.feature or ("pool" if "pool" in self.maps else self.map_explained)
        index = np.linspace(0, len(self.dataset) - 1, min(len(self.dataset), _POINTS)).astype(np.int32)
        model = self.session.model

        @jax.jit
        def run(variables: Any, inputs: Array) -> Array:
            found = with_feature(model, variables, inputs, name)[1]
            many = found.ndim == 4 and found[0].size > _NUMBERS
            return found.mean((1, 2)) if many else found.reshape(len(found), -1)

        points, parts = lambda inputs: np.asarray(run(self.variables, inputs), np.float32), []
        for batch in eval_batches(Subset(self.dataset, index, self.dataset.labels[index]), _TOGETHER):
            parts.append(points(self.take(jnp.asarray(batch["image"])))[batch["mask"]])
        return name, np.concatenate(parts), points(self.inputs), index


def evaluation_inputs_of(session: Session) -> Callable[[UInt8[Array, "b h w c"]], Float[Array, "b h2 w2 c2"]]:
    """The function from images as the data set holds them to what the network takes; of views, the middle one."""
    views, _ = seen_at_evaluation(session.config, session.eval_augment, session.info)
    dtype = jnp.promote_types(session.config.model.dtype, jnp.float32)

    @jax.jit
    def take(images: UInt8[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        info = session.info
        inputs = evaluation_inputs(images, session.eval_augment, info.mean, info.std, dtype=dtype)
        if views is None:
            return inputs
        seen = views(inputs)
        return seen[(len(seen) - 1) // 2]

    return take
