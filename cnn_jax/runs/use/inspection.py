"""What a run's network has learned and looks at, on one page of pictures."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from cnn_jax.config import ConfigError, network_name
from cnn_jax.data import DataError, Dataset, find_image_files, read_batches
from cnn_jax.inspect.draw import page
from cnn_jax.inspect.feature_names import check_feature, spatial_features
from cnn_jax.names import nearest
from cnn_jax.paths import local_path
from cnn_jax.runs.compare import check_data
from cnn_jax.runs.console.pictures import class_names
from cnn_jax.runs.evaluation import load_variables
from cnn_jax.runs.folder.files import write_atomically
from cnn_jax.runs.folder.own_code import with_code
from cnn_jax.runs.folder.run import Run, RunError, read_run
from cnn_jax.runs.session import Session, open_session, precision
from cnn_jax.runs.use.inspected import Inspected, evaluation_inputs_of
from cnn_jax.runs.use.inspected_images import drawn_images, explanations, feature_maps, fields, filters
from cnn_jax.runs.use.inspected_split import calibration, confused, neighbours

_SECTIONS: dict[str, Callable[[Inspected], page.Section | None]] = {
    "first filters": filters,
    "Grad-CAM, integrated gradients, occlusion": explanations,
    "feature maps": feature_maps,
    "receptive fields": fields,
    "drawn images": drawn_images,
    "neighbours": neighbours,
    "confusion and mistakes": confused,
    "calibration": calibration,
}
_SHOWN, _MOST = 6, 24  # images: where none is given, and that may be given


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What `inspect_run` leaves.

    Attributes:
      page: the HTML file, which holds its pictures.
      pictures: the same as files of their own.
    """

    page: Path
    pictures: tuple[Path, ...]


def inspect_run(
    run: Path | str,
    images: Sequence[Path | str] = (),
    out: Path | str = "inspect",
    *,
    feature: str | None = None,
    class_named: str | None = None,
    split: str | None = None,
    step: int | str = "latest",
    trust_code: bool = False,
    report: Callable[[str], None] = lambda text: None,
) -> Inspection:
    """Writes a page of pictures that reads offline, and each as a PNG beside it; nothing is trained.

    First filters; what the network looks at in some images; feature maps and what they see; images drawn out of the
    network; neighbours and a plane in the space of a feature; and of the split, confusion, mistakes and calibration.

    Args:
      run: a run folder.
      images: paths of image files, of folders of them, or patterns, 24 images at most; none: six of the split.
      out: the folder to write into.
      feature: the named feature to look at, whose channels images are drawn for; None: what the network exposes, and
        images for its classes.
      class_named: the class to explain and to draw; None: the one predicted for each image, and all, or those.
      split: "test", "validation" or "train"; None: test, or nothing of a split where image files are given and there is
        no test split.
      step: "latest", "best" or the number of a saved step.
      trust_code: as `evaluate`.
      report: is told what is being done.

    Raises:
      ConfigError: for a feature or a class that there is not, a network without feature maps, or a folder that cannot
        be written.
      DataError: for a file that is no image, or a split that there is not.
      RunError, CheckpointError: as `evaluate`.
    """
    folder = local_path(out, "--out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"`--out` {folder} is no folder that can be made: {error.strerror or error}.") from error
    with with_code(read_run(run), trust_code=trust_code) as opened, precision(opened.config.model.dtype):
        session = open_session(opened.config, opened.derived, opened.info)
        with ops.context(conv=opened.config.model.conv):
            number, looked = _look(opened, session, images, feature, class_named, split, step)
            sections = []
            for title, section in _SECTIONS.items():
                report(title)
                if (found := section(looked)) is not None:
                    sections.append(found)
    network = network_name(opened.config)
    facts = [f"network: {network}", f"data: {opened.config.data.name}", f"step {number:,}"]
    facts += [f"nothing is said of the {looked.split} split: {looked.why}"] if looked.why else []
    content = page.html(f"Inside {network}", f"run · {opened.directory.name}", [*facts, *looked.facts], sections)
    pictures = [picture for section in sections for picture in section.pictures]
    try:
        for picture in pictures:
            write_atomically(folder / f"{picture.name}.png", picture.content)
        write_atomically(folder / "index.html", content)
    except OSError as error:
        raise ConfigError(f"`--out` {folder} cannot be written to: {error.strerror or error}.") from error
    return Inspection(folder / "index.html", tuple(folder / f"{picture.name}.png" for picture in pictures))


def _look(
    run: Run,
    session: Session,
    images: Sequence[Path | str],
    feature: str | None,
    class_named: str | None,
    split: str | None,
    step: int | str,
) -> tuple[int, Inspected]:
    """The step, and all that the pictures are made of."""
    names = class_names(session.info, session.derived.num_classes)
    chosen = None if class_named is None else _class_number(class_named, names)
    given = _read(images, session) if images else None
    dataset, why = _dataset(run, session, split or "test", needed=given is None or split is not None)
    if given is None:
        assert dataset is not None
        index = np.linspace(0, len(dataset) - 1, min(len(dataset), _SHOWN)).astype(np.int32)
        pixels, labels = dataset.images(index), dataset.labels[index]
        titles = [f"{split or 'test'} image {i}" for i in index]
    else:
        (titles, pixels), labels, index = given, None, None
    number, variables = load_variables(run, session, step)
    shape = session.image_shape
    try:
        maps = spatial_features(session.model, variables, shape)
        if feature is not None:
            maps = {feature: check_feature(session.model, variables, shape, feature, spatial=True)}
    except ValueError as error:
        raise ConfigError(f"{'`--feature`: ' if feature else ''}{error}") from error
    take = evaluation_inputs_of(session)
    looked = Inspected(
        run,
        session,
        variables,
        take,
        take(jnp.asarray(pixels)),
        labels,
        index,
        tuple(titles),
        names,
        maps,
        feature,
        chosen,
        split or "test",
        dataset,
        why,
    )
    return number, looked


def _class_number(name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise ConfigError(f"`--class` is {name!r}, which is no class of the run's data set.{nearest(name, names)}")
    return list(names).index(name)


def _read(images: Sequence[Path | str], session: Session) -> tuple[list[str], np.ndarray]:
    files, faults = find_image_files(images)
    if faults:
        raise faults[0]
    if len(files) > _MOST:
        raise ConfigError(f"{len(files)} images are more than a page shows; give at most {_MOST}.")
    (batch,) = read_batches(files, len(files), session.preprocess, session.info.image_shape)
    if batch.faults:
        raise next(iter(batch.faults.values()))
    return [Path(path).name for path in batch.paths], batch.images


def _dataset(run: Run, session: Session, split: str, *, needed: bool) -> tuple[Dataset | None, str]:
    """A split of the run's data; or, where it is not needed, why there is none."""
    try:
        check_data(run)
        return session.dataset(split), ""
    except (DataError, ConfigError, RunError) as error:
        if needed:
            raise
        return None, str(error)
