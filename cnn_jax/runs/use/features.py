"""What a network makes of every example of a split, just before its classifier: computed once, and kept."""

import contextlib
import functools
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, UInt8

from cnn_jax.config import ConfigError, flatten
from cnn_jax.data import Dataset, eval_batches, prefetch
from cnn_jax.modules.dense import Dense
from cnn_jax.paths import cache_folder
from cnn_jax.runs.console.progress import ImageProgress
from cnn_jax.runs.content import Content
from cnn_jax.runs.session import Session

_VERSION = 1  # of what is kept: another where other features would be computed from the same


def before_classifier(session: Session, variables: Mapping[str, Any], images: UInt8[Array, "b h w c"]) -> Array:
    """The features [b, d] that the classifier sees, of images prepared as at evaluation.

    The classifier is the first layer whose name begins with `head`; where there is none, the last dense layer.

    Raises:
      ConfigError: for a network that has neither.
    """
    heads, dense = list[Array](), list[Array]()

    def note(call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if context.method_name == "__call__" and args:
            if any(part.startswith("head") for part in context.module.path):
                heads.append(args[0])
            elif isinstance(context.module, Dense | nn.Dense):
                dense.append(args[0])
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        session.logits(variables, images)
    if not heads and not dense:
        raise ConfigError("the network has no layer called `head` and no dense layer, so no features before one.")
    seen = heads[0] if heads else dense[-1]
    return seen.reshape(len(seen), -1)


def split_features(
    session: Session, variables: Mapping[str, Any], split: str, content: Content, *, quiet: bool = True
) -> tuple[Float[np.ndarray, "n d"], Dataset, bool]:
    """The features of a split's examples in their order, the split, and whether the features were kept from before.

    They lie in the user's cache, by what they are made of: the weights' digest, the data's fingerprint, the network and
    the evaluation's operations. A file that cannot be read is made again; where none can be written, none is kept.

    Args:
      split: "train", of which only the examples are taken that would be trained on; "validation" or "test".
      content: of the experiment.
      quiet: show no progress on standard error.
    """
    dataset = session.training_data() if split == "train" else session.dataset(split)
    path = cache_folder() / "features" / f"{_key(session, split, content)}.npz"
    with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile), np.load(path) as kept:
        if len(found := kept["features"]) == len(dataset):
            return found, dataset, True
    see = session.once("features", lambda: jax.jit(functools.partial(before_classifier, session)))
    rows = []
    batches = eval_batches(dataset, session.eval_batch_size)
    with (
        contextlib.closing(prefetch(batches)) as ready,
        ImageProgress(f"features, {split}", len(dataset), quiet=quiet) as progress,
    ):
        for batch in ready:
            images = jax.device_put(batch["image"], session.layout.split)
            rows.append(np.asarray(see(variables, images))[batch["mask"]])
            progress.add(len(rows[-1]))
    features = np.concatenate(rows)
    with contextlib.suppress(OSError):
        _keep(path, features)
    return features, dataset, False


def _key(session: Session, split: str, content: Content) -> str:
    config, info = session.config, session.info
    keys = flatten(config, identity_only=True)
    counts = {key: value for key, value in keys.items() if key.startswith(("model.", "data.eval_augment"))}
    counts |= {key: keys[key] for key in ("data.interpolation", "data.validation_fraction", "seeds.split")}
    if split == "train" and (config.data.examples_per_class or config.data.class_fractions):
        counts |= {key: keys[key] for key in ("seed", "data.examples_per_class", "data.class_fractions")}
    text = json.dumps([_VERSION, split, counts, content.flat(), info.mean, info.std], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _keep(path: Path, features: np.ndarray) -> None:
    """In one piece, for several processes may write at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, features=features)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
