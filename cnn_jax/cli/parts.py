"""The command `parts`: what an experiment can name beside networks and data sets."""

import contextlib
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from cnn_jax.cli.flags import Json, print_figures
from cnn_jax.cli.output import console


def parts(json: Json = False) -> int:
    """List augmentations, mixes, views, optimisers, schedules, losses and gradient rules, with their arguments."""
    kinds = _kinds()
    figures = {"parts": [{"key": key, **row} for key, rows in kinds.items() for row in rows]}
    return print_figures(figures, json, lambda: _print(kinds))


def _kinds() -> dict[str, list[dict[str, str]]]:
    """The rows of each configuration key that names parts."""
    import optax
    import optax.contrib

    from cnn_jax.data.augmentation.chain import AUGMENTATIONS
    from cnn_jax.data.augmentation.mix import MIXES
    from cnn_jax.data.augmentation.views import VIEWS
    from cnn_jax.training.losses import LOSSES
    from cnn_jax.training.optimizer import OPTIMIZERS
    from cnn_jax.training.rules import RULES
    from cnn_jax.training.schedules import SCHEDULES

    of_optax = [
        {"name": f"{module}:NAME", "arguments": "", "about": f"Optax's own: {', '.join(_optimizers(found))}."}
        for module, found in (("optax", optax), ("optax.contrib", optax.contrib))
    ]
    return {
        "data.augment": _rows(AUGMENTATIONS, "image", "key", "interpolation"),
        "data.mix": _rows(MIXES, "key", "images", "targets"),
        "data.eval_views": _rows(VIEWS, "images"),
        "optim.name": _rows(OPTIMIZERS, "learning_rate", "weight_decay", "mask") + of_optax,
        "optim.schedule": _rows(SCHEDULES, "value", "init_value", "peak_value", *_STEPS),
        "optim.gradient": _rows(RULES, "gradient", "state", "batch"),
        "train.loss": _rows(LOSSES, "logits", "targets", "label_smoothing"),
    }


_STEPS = ("decay_steps", "total_steps", "first_step")


def _optimizers(module: Any) -> list[str]:
    """The functions of a module that make an optimiser of a learning rate."""
    found = []
    for name, value in vars(module).items():
        if (
            callable(value)
            and not isinstance(value, type)
            and not name.startswith(("_", "scale_by"))
            and name not in _NO_OPTIMIZERS
        ):
            with contextlib.suppress(TypeError, ValueError):  # what has no signature
                found += [name] if _RATES & inspect.signature(value).parameters.keys() else []
    return sorted(found)


_RATES = {"learning_rate", "max_learning_rate"}
# Of each example's gradient; around another optimiser.
_NO_OPTIMIZERS = ("dpsgd", "schedule_free")


def _rows(table: Mapping[str, Callable[..., Any]], *given: str) -> list[dict[str, str]]:
    """Name, arguments and first sentence of each part, without what the trainer gives to it."""
    rows = []
    for name, part in table.items():
        taken = [p for p in inspect.signature(part).parameters.values() if p.name not in given]
        arguments = ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in taken)
        about = (inspect.getdoc(part) or "").partition("\n\n")[0].replace("\n", " ")
        rows.append({"name": name, "arguments": arguments, "about": about})
    return rows


def _print(kinds: dict[str, list[dict[str, str]]]) -> None:
    from rich.table import Table

    out = console()
    out.width = out.width if sys.stdout.isatty() else 120
    for key, rows in kinds.items():
        table = Table(box=None, show_header=False, title=key, title_justify="left", title_style="bold")
        table.add_column(no_wrap=True)
        table.add_column()
        for row in rows:
            table.add_row(row["name"], f"({row['arguments']})\n{row['about']}" if row["arguments"] else row["about"])
        out.print(table)
        print()
    print("Yours, too: FILE.py:NAME below the experiment's folder, or package.module:NAME (see cnn_jax.names).")
