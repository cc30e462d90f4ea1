"""Run folders as training writes them, by the same writers, without the training."""

import numpy as np
import pytest

from cnn_jax.data import load_dataset
from cnn_jax.runs.content import content_of
from cnn_jax.runs.derive import derive
from cnn_jax.runs.folder.predictions import Predictions, write_predictions
from cnn_jax.runs.folder.record import Record
from cnn_jax.runs.folder.run import take_run
from cnn_jax.runs.machine.environment import environment
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.study.ablation import load_study
from cnn_jax.study.stored import store_study

FILE = """
from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def ablation():
    scaled = ("resize(28)",)
    base = Config(
        model=ModelConfig("lenet5"),
        data=DataConfig("digits", batch_size=64, augment=scaled, eval_augment=scaled),
        optim=OptimConfig("sgd", learning_rate=0.2),
        train=TrainConfig(epochs=5),
    )
    return Ablation(QUESTION, base, ARMS, seeds=range(SEEDS))
"""


def write_study(folder, question, arms, accuracies, seeds):
    """A study of the digits, all its runs finished, and its file.

    Args:
      arms: as of an `Ablation`.
      accuracies: about what is reached, the base's first.
    """
    text = FILE.replace("QUESTION", repr(question)).replace("ARMS", repr(arms)).replace("SEEDS", str(seeds))
    (folder / "choices.py").write_text(text)
    study = load_study(folder / "choices.py")
    store_study(study, folder / "study")
    reached = dict(zip(study.arms, accuracies, strict=True))
    here = environment(folder)  # which takes as long as the rest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnn_jax.runs.folder.run.environment", lambda folder, *, deterministic: here)
        for (arm, seed), config in study.configs.items():
            write_run(folder / "study" / arm / f"seed-{seed}", config, reached[arm])
    return folder / "study"


def write_run(folder, config, accuracy, *, finished=True):
    """A run of the digits whose test accuracy is about `accuracy`; equal arguments give equal metrics."""
    config = resolve_parts(config)
    info = load_dataset("digits", "test").info
    derived = derive(config, num_examples=1258, num_classes=10, num_devices=1)
    rng = np.random.default_rng([config.seed, int(1e4 * accuracy)])
    writer = take_run(folder, config, derived, content_of(config), info)
    try:
        with Record(writer, 0) as record:
            writer.start(0, None)
            for part in np.linspace(0, 1, 8)[1:]:
                step, noise = round(derived.steps * part), rng.normal(0, 0.01)
                writer.write(step, "train", {"loss": 2.3 * np.exp(-4 * part) + abs(noise), "top1": accuracy * part})
                writer.write(step, "validation", {"loss": np.exp(-3 * part), "top1": accuracy * part**0.3 + noise})
            record.saved(derived.steps)
            if finished:
                predictions = _predictions(accuracy, rng)
                write_predictions(folder, predictions)
                values = {"num_examples": 359, "top1": float(predictions.correct.mean()), "top5": 1.0}
                values |= {"loss": 1 - accuracy, "nll": 1 - accuracy, "ece": 0.01, "per_class": {}}
                writer.write(derived.steps, "test", values)
    finally:
        writer.close()


def _predictions(accuracy, rng):
    """Some digits are harder than others, for every run alike."""
    label = np.asarray(load_dataset("digits", "test").labels, np.int32)
    n = len(label)
    hard = np.random.default_rng(0).exponential(1, n)
    wrong = rng.random(n) < np.minimum(1, (1 - accuracy) * hard)
    other = (label + rng.integers(1, 10, n)) % 10
    rest = np.array([[k for k in range(10) if k not in (a, b)][:3] for a, b in zip(label, other, strict=True)])
    pair = np.where(wrong[:, None], np.stack([other, label], 1), np.stack([label, other], 1))
    classes = np.concatenate([pair, rest], 1).astype(np.int32)
    probabilities = np.tile(np.float32([0.7, 0.2, 0.05, 0.03, 0.02]), (n, 1))
    return Predictions(np.arange(n, dtype=np.int32), label, classes, probabilities)
