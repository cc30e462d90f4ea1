"""Other data for a run: another set with the same classes, or its own, seen in another way."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax import names
from cnn_jax.config import Config, ConfigError, OtherData, executed, named
from cnn_jax.config.parts import TFDS, own_name
from cnn_jax.data import (
    Chain,
    DataError,
    Dataset,
    DatasetInfo,
    DatasetSpec,
    Images,
    holds_files,
    own_spec,
    parse_augment,
)
from cnn_jax.data.sets.folder_layout import class_folders, split_places
from cnn_jax.data.sets.image_folder import note_passed_over
from cnn_jax.data.sets.walk import Row, find_images
from cnn_jax.models import abstract_variables
from cnn_jax.paths import local_path
from cnn_jax.runs.build import step_context
from cnn_jax.runs.parts import operations
from cnn_jax.runs.session import Session
from cnn_jax.runs.splits import data_source, load_from, seen_at_evaluation
from cnn_jax.runs.use.relabelled import Relabelled, refuse_unknown
from cnn_jax.signatures import bind
from cnn_jax.training.step import make_logits

type Found = tuple[Callable[..., Any], dict[str, Any], str]
"""A function, its arguments, and its name."""


@dataclasses.dataclass(frozen=True)
class OwnParts:
    """Functions of one's own that are named beside a run."""

    data: Found | None
    """Of the data set; None where it is none of one's own."""
    operations: tuple[str | Found, ...] | None
    """What is done to the images, ours as text; None where it is not said."""


@contextlib.contextmanager
def own_parts(given: OtherData) -> Iterator[OwnParts]:
    """The functions that are named beside a run, from their files as they are now, while the context lasts.

    To be entered before the run's own code is, so that files of the same names do not meet.

    Raises:
      ConfigError: where there is no such file or function.
    """
    experiments: dict[str, str] = {}
    with contextlib.ExitStack() as files:

        def found(text: str, what: str) -> Found:
            name, arguments = names.split(text)
            place, _, attribute = name.rpartition(":")
            if not place.endswith(".py"):
                return names.find(name, {}, what), arguments, name
            if place not in experiments:
                experiments[place] = files.enter_context(executed(place)).module.__name__
            return names.find(f":{attribute}", {}, what, experiments[place]), arguments, name

        name, texts = given.name or "", given.eval_augment
        with named("data.name"):
            is_own = ":" in name.partition("(")[0] and not name.startswith(TFDS)
            data = found(name, "data set") if is_own else None
        with named("data.eval_augment"):
            calls = [text if own_name(text) is None else found(text, "operation") for text in texts or ()]
        yield OwnParts(data, None if texts is None else tuple(calls))


def open_other(
    session: Session, given: OtherData, parts: OwnParts, split: str
) -> tuple[Session, Dataset, dict[str, Any]]:
    """The network of a session, to be evaluated on other data.

    Returns:
      The session for these data, with the run's mean and deviation; the data, labelled as the run's classes are; and
      what they are: name, folder, eval_augment (all that is done to the images), missing_classes (those of the run's
      that they have no examples of).

    Raises:
      ConfigError: where the data have classes that the run does not know, or images that its network does not take.
      DataError: where they are not prepared, or cannot be read.
    """
    data = session.config.data
    if given.folder is not None and given.name not in (None, "folder"):
        raise ConfigError(f"`data.folder` has no effect with `data.name` {given.name}; leave one of them out.")
    name = "folder" if given.name is None and given.folder is not None else given.name
    values: dict[str, Any] = {"root": given.root or data.root, "on_error": given.on_error or data.on_error}
    if name is not None:
        values |= {"name": name, "folder": given.folder, "validation_fraction": None}
    config = dataclasses.replace(session.config, data=dataclasses.replace(data, **values))
    source, settings, place = _source(config, given, parts, session.info, split)
    with named("data.name"):
        files = holds_files(source)
    if given.on_error is not None and not files:
        raise ConfigError(f"`data.on_error` has no effect on {config.data.name}, which holds no files; leave it out.")
    offered = {"key": None, "interpolation": data.interpolation}
    load = functools.partial(load_from, source, settings, place)
    dataset = None if files else load(None)
    with named("data.eval_augment"):
        if parts.operations is None:
            calls = _fitting(None if dataset is None else dataset.info.image_shape, session.info)
            calls += operations(session.config, "data.eval_augment", "image", **offered)
        else:
            calls = [c if isinstance(c, str) else bind(*c, "image", **offered) for c in parts.operations]
        chain = parse_augment(calls, files=files, allow_random=False, interpolation=data.interpolation)
    seen = Relabelled(load(chain.host) if dataset is None else dataset, session.info, str(config.data.name), split)
    described = {
        "name": str(config.data.name),
        "folder": config.data.folder,
        "eval_augment": [call if isinstance(call, str) else call.func.__name__ for call in calls],  # type: ignore[attr-defined]
        "missing_classes": seen.missing,
    }
    return _seeing(session, config, seen.info, chain), seen, described


def _source(
    config: Config, given: OtherData, parts: OwnParts, own: DatasetInfo, split: str
) -> tuple[str | DatasetSpec, Config, str]:
    """The data set, and how it is read: with which configuration, and which split of it holds the examples meant."""
    if parts.data is not None:
        with named("data.name"):
            read = bind(*parts.data, "split", seed=config.seed, root=config.data.root)
        return own_spec(read, parts.data[2]), config, split
    top = None if given.folder is None else local_path(given.folder, "data.folder")
    if top is not None and not top.is_dir():
        raise ConfigError(
            f"`data.folder` {top} is not a folder; name one that holds a folder of images for each class."
        )
    if top is None or split_places(top) != {"train": top}:
        return data_source(config), config, split
    images = _all_images(top, own.class_names, config.data.on_error)
    read_all: Callable[[str], Images | None] = lambda split: images if split == "train" else None  # noqa: E731
    undivided = dataclasses.replace(config.data, folder=None, validation_fraction=0.0)
    return own_spec(read_all, "images"), dataclasses.replace(config, data=undivided), "train"


def _all_images(top: Path, class_names: Sequence[str], on_error: str) -> Images:
    """Every image of a folder that is not divided into splits."""
    paths, labels, faults, passed_over = list[Path](), list[int](), list[Row](), list[Row]()
    folders = class_folders(top)
    refuse_unknown([folder.name for folder in folders], class_names, str(top))
    for folder in folders:
        found = find_images(folder)
        paths += found.images
        labels += [class_names.index(folder.name)] * len(found.images)
        faults += found.faults
        passed_over += found.passed_over
    if faults and on_error == "fail":
        raise DataError(faults[0][1])
    note_passed_over(passed_over)
    if not paths:
        raise DataError(f"{top} holds no image; an image lies in {top}/CLASS/IMAGE.")
    return Images([path.resolve() for path in paths], labels, class_names)


def _fitting(shape: tuple[int, int, int] | None, own: DatasetInfo) -> list[str | Callable[..., Any]]:
    """What brings images to the size and channels of a run's own.

    Args:
      shape: of the images; None: of any size, in colour, as files are.
    """
    height, width, channels = own.image_shape
    found: list[str | Callable[..., Any]] = []
    if shape is None and not own.are_files:
        found += [f"resize_shorter({max(height, width)})", f"center_crop({height}, {width})"]
    elif shape is not None and not own.are_files and shape[:2] != (height, width):
        found.append(f"resize({height}, {width})")
    if (3 if shape is None else shape[2]) != channels:
        found.append("to_gray()" if channels == 1 else "to_rgb()")
    return found


def _seeing(session: Session, config: Config, info: DatasetInfo, chain: Chain) -> Session:
    """The session with these images in place of its own."""
    views, shape = seen_at_evaluation(config, chain, info)
    _check_taken(session, shape)
    dtype, context = jnp.dtype(config.model.dtype), step_context(config.model, batch=None)
    logits = make_logits(session.model, chain, views, info.mean, info.std, dtype=dtype, context=context)
    changes: dict[str, Any] = {"config": config, "info": info, "eval_augment": chain, "image_shape": shape}
    return dataclasses.replace(session, **changes, logits=logits, programs={})


def _check_taken(session: Session, shape: tuple[int, int, int]) -> None:
    """Refuses images of a size or channels that the parameters are not for."""
    there, here = ("×".join(map(str, each)) for each in (session.image_shape, shape))
    said = f"`data.eval_augment` makes images of {here}, and the network was trained on {there}"
    trained = abstract_variables(session.model, session.image_shape)
    try:
        wanted = abstract_variables(session.model, shape)
    except ValueError as error:
        raise ConfigError(f"{said}: {error}") from error
    if jax.tree.map(lambda a: a.shape, wanted) != jax.tree.map(lambda a: a.shape, trained):
        raise ConfigError(
            f"{said}, which alone fit its parameters; bring them to that, by resize(…), to_gray() or to_rgb()."
        )
