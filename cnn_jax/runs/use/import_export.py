"""Weights of elsewhere as a run, and a run's weights for elsewhere."""

import contextlib
import shutil
import tempfile
from pathlib import Path

from cnn_jax.config import Config, ConfigError, DataConfig, ModelConfig, named
from cnn_jax.models import architecture
from cnn_jax.paths import local_path
from cnn_jax.runs.content import Content
from cnn_jax.runs.derive import derive
from cnn_jax.runs.evaluation import load_variables
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.folder.own_code import with_code
from cnn_jax.runs.folder.run import RunError, read_run, take_run
from cnn_jax.runs.session import Session, open_session, precision
from cnn_jax.runs.splits import load_or_describe, parse_chains
from cnn_jax.runs.start.initial_state import with_weights
from cnn_jax.weights import InputConvention, input_convention, load_weights, save_weights, stated_input, weights_digest
from cnn_jax.weights.description import check_classes

# What to do about them.
_OTHER_CLASSES = "name the data set of its classes (`--data`), or leave its classifier out (`--no-head`)"


def import_weights(
    model: str,
    file: Path | str,
    out: Path | str,
    *,
    data: str = "imagenet2012",
    root: str | None = None,
    folder: str | None = None,
    eval_augment: tuple[str, ...] | None = None,
    head: bool = True,
) -> Path:
    """Makes a run folder, for `evaluate`, `predict` and `export_weights`, of a weights file.

    The images are prepared as those that the weights were trained on (`input_convention`): the configuration holds
    their size, interpolation, mean and deviation.

    Args:
      model: name of the network.
      file: as `load_weights` takes it.
      out: the folder, which must not exist.
      data: the data set to evaluate on, which names the classes. It may be prepared later, before `evaluate`; but a
        network that was not published for ImageNet needs its mean and deviation here.
      root, folder: as `Config.data`.
      eval_augment: what brings its images to the network's size; None: the source's resizing and crop.
      head: False draws the classifier afresh.

    Raises:
      ConfigError: for an unknown network.
      RunError: when the folder exists.
      WeightsError: when the file does not hold the network's weights. Nothing is left behind.
    """
    out, file = local_path(out, "--out"), local_path(file, "FILE", utf8=False)
    if out.exists():
        raise RunError(f"`{out}` exists already; give another --out.")
    try:
        entry = architecture(model)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    content = Content(weights=weights_digest(file))  # reads the file: what is wrong with it comes first
    convention = input_convention(model, file)
    if eval_augment is None:
        eval_augment = convention.eval_augment
    options = {"variant": "keras"} if str(file).endswith(".h5") and "variant" in entry.options else {}
    # The small networks are no one's but ours, and see the data set's own mean, if the file does not say another.
    has_convention = entry.num_classes == 1000 or stated_input(file) is not None
    config = Config(
        model=ModelConfig(name=model, options=options),
        data=DataConfig(
            name=data,
            root=root,
            folder=folder,
            augment=eval_augment,
            eval_augment=eval_augment,
            interpolation=convention.interpolation,
            mean=convention.mean if has_convention else (),
            std=convention.std if has_convention else (),
        ),
    )
    with precision(config.model.dtype):
        info = load_or_describe(config, "train", parse_chains(config)[1])
        derived = derive(config, num_examples=info.num_examples, num_classes=info.num_classes, num_devices=1)
        session = open_session(config, derived)
        variables = load_weights(file, session.model, head=head, image_shape=session.image_shape)
        if head:
            check_classes(file, session.info.class_names, _OTHER_CLASSES)
        with named("data.eval_augment"):  # the network may not take images of this size
            drawn = session.drawn_state()
        state = with_weights(drawn, variables)
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
        try:
            with (
                contextlib.closing(take_run(unfinished, config, derived, content, session.info)) as writer,
                contextlib.closing(Checkpoints(writer.run.checkpoints, identity=writer.run.identity)) as checkpoints,
            ):
                checkpoints.save(0, session.carry(state))
            unfinished.rename(out)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return out


def export_weights(run: Path | str, file: Path | str, *, step: int | str = "latest", trust_code: bool = False) -> Path:
    """Writes a run's weights as `.safetensors` under torchvision's names, or those of a network of one's own.

    Args:
      run: a run folder.
      file: as `save_weights` takes it.
      step: "latest", "best" or the number of a saved step.
      trust_code: as `evaluate`.
    """
    file = local_path(file, "FILE", utf8=False)
    if file.suffix != ".safetensors":
        raise ConfigError(f"weights are written as .safetensors, got `{file}`.")
    with with_code(read_run(run), trust_code=trust_code) as opened, precision(opened.config.model.dtype):
        session = open_session(opened.config, opened.derived, opened.info)
        _, variables = load_variables(opened, session, step)
        names, images, shape = session.info.class_names, _images_of(session), session.image_shape
        save_weights(file, session.model, variables, class_names=names, images=images, image_shape=shape)
    return file


def _images_of(session: Session) -> InputConvention:
    """How a run prepares the images that its network sees."""
    info, data, side = session.info, session.config.data, session.image_shape[0]
    return InputConvention(
        info.mean,
        info.std,
        side,
        side,
        data.interpolation,
        source="a run",
        operations=tuple(map(str, data.eval_augment)),
    )
