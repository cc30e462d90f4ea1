"""Evaluation of a finished run: on its own data or on others, with a temperature fitted on its validation split."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.config import OtherData
from cnn_jax.data import Dataset, UnpreparedError
from cnn_jax.inspect.calibration import (
    brier,
    confidence,
    fit_temperature,
    has_temperature,
    is_correct,
    nll,
    reliability,
)
from cnn_jax.runs.compare import check_data
from cnn_jax.runs.evaluation import Answers, answers, answers_and_figures, load_variables
from cnn_jax.runs.folder.own_code import with_code
from cnn_jax.runs.folder.run import Run, read_run
from cnn_jax.runs.session import Session, open_session, precision
from cnn_jax.runs.use.answer_file import answer_file
from cnn_jax.runs.use.other_data import open_other, own_parts
from cnn_jax.runs.use.relabelled import check_labels

logger = logging.getLogger(__name__)


def evaluate(
    run: Path | str,
    *,
    split: str = "test",
    step: int | str = "latest",
    data: OtherData = OtherData(),
    predictions: Path | str | None = None,
    trust_code: bool = False,
    quiet: bool = True,
) -> dict[str, Any]:
    """Evaluates a checkpoint of a run. The run folder is not changed.

    Args:
      run: a run folder.
      split: "train", "validation" or "test".
      step: "latest", "best" (on the validation split) or the number of a saved step.
      data: other data with the same classes, to be evaluated on beside the run's own.
      predictions: a `.csv` or `.npz` file for what the network says of every example: see `answer_file`.
      trust_code: run the code of one's own that lies in the folder, although this user has not trained with it.
      quiet: show no progress on standard error.

    Returns:
      split, step, num_examples, loss, nll, brier, ece, top1, top5; per_class, nll_per_class and brier_per_class, by the
      names of the classes. The Brier score is summed over the classes, 0 to 2. `calibrated`: the temperature with the
      least NLL on the validation split (Guo et al. 2017), and nll, brier and ece of the logits divided by it; or
      temperature None, and `why` there is none.

      With other data all this is of them; `data` says what they are, and `own` holds the figures of the run's own, or
      None where those are not prepared.

    Raises:
      RunError: when `run` is not a run folder, its `config.json`, its code or its data set was changed, or its code is
        not trusted.
      CheckpointError: when the step was not saved, is damaged, or is the best one and was removed.
      ConfigError: for other data whose classes the run does not know, or whose images its network does not take; and
        for a file that cannot be written.
      DataError: when data are not prepared, or cannot be read.
    """
    with (
        answer_file(predictions) as write,
        own_parts(data) as parts,
        with_code(read_run(run), trust_code=trust_code) as opened,
        precision(opened.config.model.dtype),
    ):
        check_data(opened)
        session = open_session(opened.config, opened.derived, opened.info)
        other = None if data == OtherData() else open_other(session, data, parts, split)
        dataset = _own_split(session, split, needed=other is None)
        number, variables = load_variables(opened, session, step)
        own_pass = None if dataset is None else answers_and_figures(session, variables, dataset, quiet=quiet)
        known = own_pass[0] if own_pass is not None and split == "validation" else None
        temperature, why = validation_temperature(opened, session, variables, known, quiet=quiet)

        def scored(session: Session, dataset: Dataset, said: Answers, figures: dict[str, Any]) -> dict[str, Any]:
            if other is None or session is other[0]:
                write(said, dataset)
            figures |= _per_class(said, dataset)
            return figures | {"calibrated": {"temperature": None, "why": why} if why else scaled(said, temperature)}

        figures = {"split": split, "step": number}
        own = None if dataset is None or own_pass is None else scored(session, dataset, *own_pass)
        if other is None:
            return figures | (own or {})
        other_pass = answers_and_figures(other[0], variables, other[1], quiet=quiet)
        return figures | {"data": other[2], **scored(other[0], other[1], *other_pass), "own": own}


def scaled(said: Answers, temperature: float) -> dict[str, float]:
    """The temperature, and nll, brier and ece of the logits divided by it."""
    correct = is_correct(said.logits, said.label)  # of the logits as they are: a temperature changes no order
    return {
        "temperature": temperature,
        "nll": float(nll(said.logits, said.label, temperature).mean()),
        "brier": float(brier(said.logits, said.label, temperature).mean()),
        "ece": reliability(confidence(said.logits, temperature), correct).ece,
    }


def _own_split(session: Session, split: str, *, needed: bool) -> Dataset | None:
    """The examples of the run's own data; None where they are not prepared, and one can do without."""
    try:
        dataset = session.dataset(split)
    except UnpreparedError as error:
        if needed:
            raise
        logger.warning("note: the run's own data are left out: %s", error)
        return None
    check_labels(dataset)
    return dataset


def validation_temperature(
    run: Run, session: Session, variables: Mapping[str, Any], known: Answers | None, *, quiet: bool = True
) -> tuple[float, str]:
    """The best temperature for the validation split; or 1, and why there is none.

    Args:
      known: the answers of that split, where they are.
    """
    if not session.has_validation:
        return 1.0, "the run holds no validation examples out"
    if run.content.weights is not None and run.config.model.weights is None:
        return 1.0, "the weights come from elsewhere, so that they may have been trained on any example"
    try:
        dataset = session.dataset("validation")
    except UnpreparedError:
        return 1.0, "the run's own data are not prepared, and so there is no validation split"
    said = known or answers(session, variables, dataset, quiet=quiet)
    if not np.isfinite(said.logits).all():
        return 1.0, "the logits of the validation split are not finite"
    if not has_temperature(said.logits, said.label):
        right = int(is_correct(said.logits, said.label).sum())
        return (
            1.0,
            f"the network is right about {right} of {len(said.label)} validation examples, for which none is best",
        )
    return fit_temperature(said.logits, said.label), ""


def _per_class(said: Answers, dataset: Dataset) -> dict[str, dict[str, float | None]]:
    """The mean NLL and Brier score of the examples of each class, by its name; None for a class without examples."""
    names = dataset.info.class_names
    count = np.bincount(said.label, minlength=len(names))
    found = {}
    for name, values in (("nll", nll(said.logits, said.label)), ("brier", brier(said.logits, said.label))):
        total = np.bincount(said.label, values, len(names))
        found[f"{name}_per_class"] = {
            c: t / n if n else None for c, t, n in zip(names, total.tolist(), count.tolist(), strict=True)
        }
    return found
