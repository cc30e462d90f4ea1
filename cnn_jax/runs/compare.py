"""Whether two runs are one experiment, and what tells them apart."""

import dataclasses
import warnings
from pathlib import Path

from cnn_jax import config as configuration
from cnn_jax.config import ModelConfig, named_parts
from cnn_jax.runs.content import data_now
from cnn_jax.runs.derive import resolve_classes
from cnn_jax.runs.folder.stored import SCHEMA, Run, RunError, is_begun, read_run


def differences(there: Run, here: Run) -> list[str]:
    """What tells two experiments apart, a line each; empty where they are the same.

    Of a folder of version 0.1 the keys are compared, and the checksums of the files of starting weights: that is all
    that it holds.
    """
    if there.schema != SCHEMA and here.config.model.num_classes is None:
        settled = resolve_classes(there.config, here.derived.num_classes)
        there = dataclasses.replace(there, config=settled)
    keys = configuration.key_differences(there.config, here.config)
    rows = [f"  {key}: {a!r} there, {b!r} now" for key, (a, b) in keys.items()]
    if there.schema == SCHEMA:
        contents = there.content.difference(here.content)
        if (parent := there.content.parent) is not None and contents.pop("parent", None) is not None:
            rows.append(f"  it began from another run: `--from {parent.given}` continues it")
        rows += [f"  {name} {_how(a, b)}" for name, (a, b) in contents.items()]
    elif there.config.model.weights_sha256 != here.config.model.weights_sha256:
        files = (_weights_file(run.config.model) for run in (there, here))
        rows.append("  weights: {} there, {} now".format(*files))
    return rows


def _weights_file(model: ModelConfig) -> str:
    if model.weights_sha256 is None:
        return "none"
    return f"{model.weights} (SHA-256 {model.weights_sha256[:16]}…)"


def _how(there: str | None, here: str | None) -> str:
    return "counts there only" if here is None else "counts now only" if there is None else "differs"


def check_data(run: Run) -> None:
    """Compares the data set, where it is prepared, with the one that the run was trained on.

    Raises:
      RunError: when it is another one.
    """
    if run.content.data is None:
        if run.schema != SCHEMA:
            warnings.warn(f"`{run.directory}` does not say what its data held: it is taken as it is now", stacklevel=3)
        return
    now = data_now(run.config)
    if now is None:
        return
    changed = configuration.difference(run.content.data, now)
    if changed:
        raise RunError(
            f"`{run.directory}` was trained on another data set of the name `{run.config.data.name}`: "
            f"{', '.join(changed).replace('_', ' ')} differ. Put back the one that it was trained on "
            f"(`data.root` is {run.config.data.root}), or train again."
        )


def default_directory(here: Run, identity_0_1: str) -> Path:
    """The folder of an experiment that was given none: below `here.directory`, by its name and its identity.

    A run that was begun under another name is found by the identity and continued.

    Args:
      identity_0_1: the identity that version 0.1 gave to it: a folder that ends in that is continued, too.

    Raises:
      RunError: when several folders hold the run, or one that version 0.1 began cannot be read: it may be this run.
    """
    network = named_parts(here.config)["model.name"].rpartition(":")[2]
    name = here.config.name or f"{here.config.data.name}-{network}"
    new = here.directory / f"{name}-{here.identity[:8]}"
    if is_begun(new):
        return new
    begun = _begun(here.directory, here.identity)
    if len(begun) > 1:
        folders = ", ".join(f"`{folder}`" for folder in begun)
        raise RunError(f"several folders hold this experiment: {folders}. Name the one to continue by --workdir.")
    if not begun:
        begun = [old for old in _begun(here.directory, identity_0_1) if not differences(read_run(old), here)]
    return begun[0] if begun else new


def _begun(folder: Path, identity: str) -> list[Path]:
    """The run folders whose names end in the first digits of an identity."""
    return sorted(path for path in folder.glob(f"*-{identity[:8]}") if is_begun(path))
