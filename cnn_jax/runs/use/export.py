"""A trained network as one file that runs without this package, on a CPU, a GPU or a TPU, for any number of images."""

import contextlib
import dataclasses
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, UInt8

from cnn_jax.config import ConfigError, named_parts, network_name
from cnn_jax.paths import local_path
from cnn_jax.runs.console.pictures import class_names
from cnn_jax.runs.evaluation import load_variables
from cnn_jax.runs.folder.files import result_file
from cnn_jax.runs.folder.own_code import with_code
from cnn_jax.runs.folder.run import Run, read_run
from cnn_jax.runs.session import Session, open_session, precision
from cnn_jax.runs.use.about import About, ExportError
from cnn_jax.runs.use.exported import ABOUT, PROGRAM, WEIGHTS, read_program
from cnn_jax.training.step import LogitsOf

type ParameterPath = tuple[str, ...]

PLATFORMS = ("cpu", "cuda", "tpu")
# The largest difference to the run's own logits, relative to the largest logit: far above what another order of sums
# leaves, far below what a network gives whose images see each other. Images are scaled in float32 for float64, too.
_ALIKE = {"float64": 1e-4, "float32": 1e-4, "bfloat16": 0.1, "float16": 0.02}


def export(
    run: Path | str,
    file: Path | str,
    *,
    step: int | str = "latest",
    trust_code: bool = False,
    report: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Writes a run's network as one zip, which JAX and NumPy run without this package or the network's code.

    It holds `program.bin` (`jax.export`), parameters and running averages as `.npy`, and `about.json`. The program
    takes uint8 images [b, H, W, C] for any b, as `about.json` says how to bring a picture to them; what evaluation does
    to them on the device is inside. It gives logits [b, k]. Equal runs give equal bytes.

    Args:
      run: a run folder.
      file: the `.zip`; an older one is replaced in one piece.
      step: "latest", "best" or the number of a saved step.
      trust_code: as `evaluate`.
      report: is told what is being done.

    Returns:
      file, step, bytes; `difference`, the largest between its logits and the run's for three images of noise, relative
      to the largest logit.

    Raises:
      ConfigError: for a file that cannot be written there.
      ExportError: for a network that cannot be exported: JAX has no stable form for a part of it, or the images of a
        batch see each other.
      RunError, CheckpointError: as `evaluate`.
    """
    file = local_path(file, "FILE", utf8=False)
    if file.suffix != ".zip":
        raise ConfigError(f"an export is written as .zip, got `{file}`.")
    with (
        result_file(file, "FILE") as out,
        with_code(read_run(run), trust_code=trust_code) as opened,
        precision(opened.config.model.dtype),
    ):
        session = open_session(opened.config, opened.derived, opened.info)
        step, variables = load_variables(opened, session, step)
        flat = {path: np.asarray(leaf) for path, leaf in flatten_dict(variables).items()}
        report(f"tracing {named_parts(opened.config)['model.name']} for {', '.join(PLATFORMS)}")
        shape = session.eval_augment.batch_shape(session.info.image_shape)
        program = _program(_plain(opened, session), flat, shape)
        about = _about(opened, session, step, shape, program.out_avals[0].shape[1])
        content = bytes(program.serialize())
        report("comparing it with the run")
        weights = {_name(path): array.astype(_stored(array.dtype)) for path, array in flat.items()}
        difference = _difference(content, about, weights, session, variables)
        arrays = {name: _npy(array) for name, array in weights.items()}
        _write(out, {ABOUT: about.to_json().encode(), PROGRAM: content, **arrays})
    return {"file": str(file), "step": step, "bytes": file.stat().st_size, "difference": difference}


def _plain(run: Run, session: Session) -> LogitsOf:
    """The run's logits from XLA's own operations alone: our forms suit the CPU that this is, not the one it will be."""
    model = dataclasses.replace(run.config.model, conv="xla")
    return open_session(dataclasses.replace(run.config, model=model), run.derived, session.info).logits


def _program(
    logits: LogitsOf, flat: Mapping[ParameterPath, np.ndarray], shape: tuple[int, int, int]
) -> jax.export.Exported:
    def whole(weights: dict[str, Array], images: UInt8[Array, "b h w c"]) -> Array:
        variables = unflatten_dict({path: weights[_name(path)].astype(leaf.dtype) for path, leaf in flat.items()})
        return logits(variables, images)

    def one_by_one(weights: dict[str, Array], images: UInt8[Array, "b h w c"]) -> Array:
        return jax.vmap(lambda image: whole(weights, image[None])[0])(images)

    (batch,) = jax.export.symbolic_shape("b")
    kept = {_name(path): jax.ShapeDtypeStruct(leaf.shape, _stored(leaf.dtype)) for path, leaf in flat.items()}
    images = jax.ShapeDtypeStruct((batch, *shape), jnp.uint8)
    export = lambda answers: jax.export.export(jax.jit(answers), platforms=PLATFORMS)(kept, images)  # noqa: E731
    try:
        with _without_places():
            try:
                return export(whole)
            except Exception:  # a network of one's own may ask for the number of images, which is a symbol here
                return export(one_by_one)
    except Exception as error:  # of JAX and of the network's own code, every kind
        raise ExportError(f"this network cannot be exported: {str(error).splitlines()[0]}") from error


@contextlib.contextmanager
def _without_places() -> Iterator[None]:
    """Keeps the paths and lines of source files out of a program, whose bytes then do not depend on them."""
    key = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, key)
    jax.config.update(key, 0)
    try:
        yield
    finally:
        jax.config.update(key, before)


def _difference(
    content: bytes, about: About, weights: Mapping[str, np.ndarray], session: Session, variables: Mapping[str, Any]
) -> float:
    """Between the program, as it is read again, and the run; for a batch, whose rows must not see each other.

    Raises:
      ExportError: where it is no difference of rounding.
    """
    images = np.random.default_rng(0).integers(0, 256, (3, *about.image_shape), np.uint8)
    here = np.asarray(jax.jit(session.logits)(variables, images), np.float64)
    there = np.asarray(jax.jit(read_program(content, about).call)(dict(weights), images), np.float64)
    finite = np.isfinite(here)
    largest = np.abs(here, where=finite, out=np.zeros_like(here)).max() or 1.0
    difference = float(np.abs(there - here, where=finite, out=np.zeros_like(here)).max() / largest)
    if not difference <= _ALIKE[about.dtype] or not np.array_equal(finite, np.isfinite(there)):
        raise ExportError(
            f"this network cannot be exported: image by image, its logits are others than in a batch (by "
            f"{difference:.1e} of the largest); at evaluation, an image must not see the others."
        )
    return difference


def _about(run: Run, session: Session, step: int, shape: tuple[int, int, int], outputs: int) -> About:
    config, info = run.config, session.info
    inside = {"eval_augment": [*map(str, config.data.eval_augment)], "eval_views": config.data.eval_views}
    return About(
        network=network_name(config),
        dtype=config.model.dtype,
        class_names=class_names(info, outputs),
        image_shape=shape,
        crop=session.eval_augment.host,
        interpolation=config.data.interpolation,
        more={
            "inside": {**inside, "mean": info.mean, "std": info.std},
            "run": {"identity": run.identity, "step": step, "data": str(config.data.name)},
            "versions": {"cnn_jax": version("cnn-jax"), "jax": jax.__version__},
        },
    )


def _name(path: ParameterPath) -> str:
    """Of a parameter or running average, in the zip."""
    return f"{WEIGHTS}{'/'.join(path)}.npy"


def _stored(dtype: np.dtype) -> np.dtype:
    """A dtype that NumPy has by itself: bfloat16 becomes float32, which holds all of its values."""
    return dtype if dtype.isbuiltin == 1 else np.dtype(np.float32)


def _npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()


def _write(file: IO[bytes], members: Mapping[str, bytes]) -> None:
    """Always with the same bytes: the parts are as old as zips can be."""
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in sorted(members.items()):
            part = zipfile.ZipInfo(name)
            part.create_system, part.external_attr = 3, 0o644 << 16
            packed.writestr(part, content)
