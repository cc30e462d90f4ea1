"""A linear probe: how well do a network's features, as they are, tell the classes of a data set apart?

Alain and Bengio 2016, "Understanding intermediate layers using linear classifier probes"; here before the classifier.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from cnn_jax.config import Config, ConfigError, OptimConfig, check_types, load_experiment, neighbours
from cnn_jax.randomness import random_key
from cnn_jax.runs.content import content_of
from cnn_jax.runs.machine.settings import precision
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.session import open_session
from cnn_jax.runs.start.initial_state import resolve_weights
from cnn_jax.runs.start.starting_weights import weights_file
from cnn_jax.runs.use.features import split_features
from cnn_jax.weights import load_weights

# How much the loss, summed over the examples, counts beside ‖w‖²/2: scikit-learn's C. From what leaves the weights near
# zero to what hardly holds them; untuned.
STRENGTHS = tuple(10.0**power for power in range(-4, 4))

_SMALL = 2**22  # numbers, below which threads cost more than they save; untuned

Features = Float[np.ndarray, "n d"]
Labels = Int[np.ndarray, "n"]


def probe(
    weights: Path | str,
    experiment: Path | str | Config,
    *,
    quiet: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Logistic regression on the features before the classifier, which stay as they are.

    The features are computed once, as at evaluation, and kept in the user's cache. Each is brought to mean 0 and
    deviation 1 on the training examples. Of `STRENGTHS` the one counts that is best on the validation split, by top-1
    and then by its loss; the test split is looked at once.

    Args:
      weights: a run as RUN, RUN@best or RUN@STEP, or a weights file, of the experiment's network.
      experiment: an experiment file, or a configuration, whose network and data are meant: its training examples
        (`data.examples_per_class` and the like), its splits, its `data.eval_augment`.
      quiet: show no progress on standard error.
      say: is told how far the fitting is.

    Returns:
      weights; features, how many; cached, whether they were kept from before; strength; train, validation and test,
      each {num_examples, top1, nll}, test None where there is no such split; seconds.

    Raises:
      ConfigError: for an experiment without a validation split, and as `train`.
      WeightsError, RunError, CheckpointError: when the weights are not the network's, or cannot be read.
      DataError: when the data set is not prepared.
    """
    began = time.perf_counter()
    config = check_types(experiment if isinstance(experiment, Config) else load_experiment(experiment))
    # How the experiment trains, and averages views, is of no concern here.
    model = replace(config.model, weights=str(weights), weights_sha256=None, new_head=True)
    config = replace(config, model=model, optim=OptimConfig(), data=replace(config.data, eval_views=None))
    if config.data.validation_fraction == 0:
        raise ConfigError("`data.validation_fraction` is 0, and a probe chooses on the validation split; give it one.")
    own_folder = None if config.code is None else config.code.folder
    with precision(config.model.dtype), neighbours(own_folder):
        config = resolve_weights(resolve_parts(config))
        session, content = open_session(config), content_of(config)
        with weights_file(str(weights), config.model.dtype) as file:
            key, shape = random_key(config.seed_of("init"), "init"), session.image_shape
            variables = load_weights(file, session.model, head=False, key=key, image_shape=shape)
        splits = ["train", "validation", *(["test"] if session.tests else [])]
        found = {split: split_features(session, variables, split, content, quiet=quiet) for split in splits}
    examples = {split: (features, dataset.labels) for split, (features, dataset, _) in found.items()}
    strength, figures = fit_probe(examples, say)
    return {
        "weights": str(weights),
        "features": examples["train"][0].shape[1],
        "cached": all(cached for *_, cached in found.values()),
        "strength": strength,
        **{split: figures.get(split) for split in ("train", "validation", "test")},
        "seconds": round(time.perf_counter() - began, 2),
    }


def fit_probe(
    examples: dict[str, tuple[Features, Labels]], say: Callable[[str], None] = lambda text: None
) -> tuple[float, dict[str, dict[str, Any]]]:
    """The strength that the validation split chooses, and the figures of every split with it.

    Args:
      examples: features and labels of "train" and "validation", and of others.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    train, labels = examples["train"]
    center, deviation = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
    deviation[deviation == 0] = 1.0  # a feature that never fires
    inputs = {split: (features - center) / deviation for split, (features, _) in examples.items()}
    threads = 1 if train.size < _SMALL else None
    best: tuple[tuple[float, float], float, dict[str, dict[str, Any]]] | None = None
    for number, strength in enumerate(STRENGTHS, start=1):
        say(f"fitting, {number} of {len(STRENGTHS)}: strength {strength:g}")
        with warnings.catch_warnings(), threadpool_limits(threads):
            # Weights that are hardly held grow without end where classes can be told apart: validation judges them.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = LogisticRegression(C=strength, max_iter=500).fit(inputs["train"], labels)
        figures = {split: _figures(fitted, inputs[split], of) for split, (_, of) in examples.items() if split != "test"}
        rank = (figures["validation"]["top1"], -figures["validation"]["nll"])
        if best is None or rank > best[0]:
            best, chosen = (rank, strength, figures), fitted
    assert best is not None
    _, strength, figures = best
    if "test" in examples:
        figures["test"] = _figures(chosen, inputs["test"], examples["test"][1])
    return strength, figures


def _figures(fitted: Any, features: Features, labels: Labels) -> dict[str, Any]:
    # A class of which no example was trained on has no probability.
    column = {int(label): place for place, label in enumerate(fitted.classes_)}
    probabilities = fitted.predict_proba(features)
    said = fitted.classes_[probabilities.argmax(1)]
    places = np.array([column.get(int(label), -1) for label in labels])
    of_label = np.where(places < 0, 0.0, probabilities[np.arange(len(labels)), places])
    nll = float(-np.log(np.maximum(of_label, np.finfo(np.float64).tiny)).mean())
    return {"num_examples": len(labels), "top1": float((said == labels).mean()), "nll": nll}
