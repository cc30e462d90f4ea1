"""The `data` commands: what there is, preparing it, and looking at it."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg, subcommand

from cnn_jax.cli.flags import Json, check_range, print_figures
from cnn_jax.cli.output import console, counts
from cnn_jax.config import ConfigError

Root = Annotated[
    Path | None,
    arg(metavar="DIR", help="Where prepared sets lie; by default $CNN_JAX_DATA, else the user's cache folder."),
]
Name = Annotated[str, arg(metavar="NAME", help="A name that `cnn-jax data list` shows.")]


def list_(root: Root = None, json: Json = False) -> int:
    """Name every known data set, prepared or not, with its size, classes, splits, statistics and licence.

    From Python: `cnn_jax.list_datasets`.
    """
    from cnn_jax.data import list_datasets

    rows = list_datasets(root)
    return print_figures({"datasets": rows}, json, lambda: _print_sets(rows))


def _print_sets(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("name", "prepared", "image", "classes", "examples", "mean", "std", "licence", box=None)
    table.columns[0].no_wrap = True
    for row in rows:
        splits = ", ".join(f"{split} {count:,}" for split, count in row["splits"].items())
        mean, std = (" ".join(f"{x:.3f}" for x in row[key] or ()) for key in ("mean", "std"))
        height, width, channels = row["image_shape"]
        shape = f"{height}×{width}×{channels}" if height else "files"
        table.add_row(
            row["name"],
            row["version"] or "no",
            shape,
            str(row["num_classes"]),
            splits,
            mean,
            std,
            row.get("licence", ""),
        )
    out = console()
    out.width = out.width if sys.stdout.isatty() else 170  # a file has room
    out.print(table)


def prepare(
    name: Name,
    /,
    source: Annotated[
        Path | None, arg(metavar="DIR", help="The folder of official archives, or of your images.")
    ] = None,
    root: Root = None,
    on_error: Annotated[
        Literal["fail", "skip"], arg(help="What an image file that cannot be decoded does: end it all, or be left out.")
    ] = "fail",
    json: Json = False,
) -> int:
    """Store a data set below the root, from its official archives; nothing is done where it is prepared.

    From Python: `cnn_jax.prepare`.
    """
    from cnn_jax.data import passed_over_files, prepare, skipped_files

    with counts() as report:
        folder = prepare(name, source=source, root=root, on_error=on_error, report=report)
    skipped = skipped_files(folder)
    figures = {"name": name, "path": str(folder), "version": folder.name, "skipped": skipped}
    figures["passed_over"] = passed_over_files(folder)
    note = f", without {len(skipped)} files that could not be decoded: {', '.join(skipped)}" if skipped else ""
    return print_figures(figures, json, lambda: print(f"{name} is prepared in {folder}{note}."))


def show(
    name: Name,
    /,
    out: Annotated[Path, arg(metavar="FILE", help="The picture to write, e.g. grid.png.")],
    split: Annotated[str, arg(help="train, validation or test.")] = "train",
    augment: Annotated[
        tuple[str, ...],
        arg(metavar="CALL…", help='Draw before and after these, e.g. "pad_crop(4)"; without any, every operation.'),
    ] = (),
    columns: Annotated[int, arg(help="How many examples.")] = 8,
    folder: Annotated[Path | None, arg(metavar="DIR", help="With the name `folder`: your own images.")] = None,
    root: Root = None,
) -> int:
    """Draw labelled examples, before and after augmentation; and name the set's licence, and what to cite.

    From Python: `cnn_jax.draw_examples`.
    """
    from cnn_jax.data import draw_examples, draw_gallery, holds_files, load_dataset, parse_augment
    from cnn_jax.data.gallery import AS_STORED
    from cnn_jax.data.sets.terms import TERMS

    check_range("--columns", columns, 1, most=100)
    files = holds_files(name)
    open_split = partial(load_dataset, name, split, root=root, folder=folder, on_error="skip")
    dataset = open_split(crop=AS_STORED if files else None)
    if augment:
        try:
            chain = parse_augment(augment, files=files)
            chain.output_shape(chain.batch_shape(dataset.info.image_shape))
        except ValueError as error:
            raise ConfigError(f"`--augment`: {error}") from error
        changed = open_split(crop=chain.host) if files else dataset
        draw_examples(dataset, changed, chain, out, heading=", ".join(augment), columns=columns)
    else:
        draw_gallery(dataset, out, columns=columns)
    print(f"wrote {out}")
    if terms := TERMS.get(name.split("/")[0]):
        print(f"licence: {terms.licence}\ncite: {terms.citation}")
    return 0


_Action = (
    Annotated[int, subcommand("list", constructor=list_)]
    | Annotated[int, subcommand("prepare", constructor=prepare)]
    | Annotated[int, subcommand("show", constructor=show)]
)


def data(action: Annotated[_Action, arg(name="")]) -> int:
    """List, prepare and look at data sets."""
    return action
