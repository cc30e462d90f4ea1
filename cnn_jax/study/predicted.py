"""What the runs of a study say of single test examples."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnn_jax.config import ConfigError
from cnn_jax.runs.folder.predictions import Predictions, read_predictions
from cnn_jax.study.table import Right

type Predicted = Mapping[str, Mapping[int, Predictions]]
"""By arm and seed, all of the same examples; runs that kept nothing are absent."""


def read_predicted(folders: Mapping[tuple[str, int], Path]) -> Predicted:
    """The predictions of finished runs, by arm and seed.

    Raises:
      ConfigError: where the runs have met different examples, which nothing pairs.
      RunError: where a file is damaged.
    """
    found: dict[str, dict[int, Predictions]] = {}
    first: Predictions | None = None
    for (arm, seed), folder in folders.items():
        said = read_predictions(folder)
        if said is None:
            continue
        first = first or said
        if not np.array_equal(said.label, first.label):
            raise ConfigError(
                f"`{folder}` was tested on other examples than the runs before it ({len(said.label)} and "
                f"{len(first.label)}, or with other labels), so arms cannot be paired; give all one test split."
            )
        found.setdefault(arm, {})[seed] = said
    return found


def right(predicted: Predicted, metric: str) -> Right | None:
    """Which test examples each run is right about, where that is what the metric counts."""
    ranks = {"top1": 1, "top5": 5}.get(metric)
    if ranks is None:
        return None
    return {
        arm: {seed: (said.classes[:, :ranks] == said.label[:, None]).any(1) for seed, said in by_seed.items()}
        for arm, by_seed in predicted.items()
    }
