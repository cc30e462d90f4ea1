"""An exported network, read again: by JAX, NumPy and the zip alone, and without trust in whoever wrote it.

Of what lies in the file nothing is run but a StableHLO program, and that calls nothing outside of itself; sizes are
compared with the file's own before anything is unpacked.
"""

import dataclasses
import functools
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np
from jaxtyping import Array, Float, UInt8
from numpy.lib import format as npy

from cnn_jax.data import find_image_files, preprocess_image, read_batches
from cnn_jax.paths import local_path
from cnn_jax.runs.machine.settings import precision
from cnn_jax.runs.use.about import About, ExportError, read_about
from cnn_jax.runs.use.classification import classify, fitting_batch

ABOUT, PROGRAM, WEIGHTS = "about.json", "program.bin", "weights/"
_ABOUT_BYTES = 1 << 24
# Compares the images' shape with what the program takes. Other calls may reach into the process, as callbacks do.
_HARMLESS_CALL = "stablehlo.custom_call @shape_assertion("


@dataclasses.dataclass(frozen=True)
class Exported:
    """What `read_export` gives.

    Attributes:
      about: what it says of itself.
      program: `(weights by name, images uint8 [b, H, W, C]) -> logits [b, k]`.
      weights: parameters and running averages, by their names in the zip.
    """

    about: About
    program: jax.export.Exported
    weights: dict[str, np.ndarray]

    @functools.cached_property
    def logits(self) -> Callable[[UInt8[np.ndarray, "b h w c"]], Float[Array, "b k"]]:
        """The function of images; asked for, and called, in the 64-bit mode of its dtype."""
        return functools.partial(jax.jit(self.program.call), jax.device_put(self.weights))

    def preprocess(self, image: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h2 w2 c2"]:
        """An image of any size, as the program takes it."""
        about = self.about
        return preprocess_image(image, about.image_shape, crop=about.crop, interpolation=about.interpolation)


def classify_exported(
    path: Path | str, images: Sequence[Path | str], *, top: int = 5, quiet: bool = True
) -> list[dict[str, Any]]:
    """`predict`, of an export."""
    exported = read_export(path)
    files, faults = find_image_files(images)
    shape, names = exported.about.image_shape, exported.about.class_names
    with precision(exported.about.dtype):
        batches = read_batches(files, fitting_batch(len(files)), exported.preprocess, shape)
        say = lambda images: jax.nn.softmax(exported.logits(images))  # noqa: E731
        return classify(batches, say, names, num_images=len(files), faults=faults, top=top, quiet=quiet)


def read_export(path: Path | str) -> Exported:
    """Reads a zip that `export` wrote.

    Raises:
      ExportError: where it is none, is of a newer format, damaged or cut short, or its parts do not fit each other.
    """
    path = local_path(path, "FILE", utf8=False)
    try:
        with path.open("rb") as opened, zipfile.ZipFile(opened) as file:
            sizes = _sizes(file, path.stat().st_size)
            about = read_about(file.read(ABOUT))
            program = read_program(file.read(PROGRAM), about)
            shapes = _weight_shapes(program, about, sorted(name for name in sizes if name.startswith(WEIGHTS)))
            weights = {name: _read_array(file, name, sizes[name], aval) for name, aval in shapes.items()}
    except ExportError as error:
        raise ExportError(f"`{path}`: {error}") from error
    except OSError:
        raise
    except Exception as error:  # damage shows as every kind of exception
        raise ExportError(f"`{path}` is no complete zip that `cnn-jax export` wrote: {error}") from error
    return Exported(about, program, weights)


def _sizes(file: zipfile.ZipFile, total: int) -> dict[str, int]:
    """The bytes of each part, none of which is packed: so together they are no more than the file."""
    parts = file.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED or part.flag_bits & 1 for part in parts):
        raise ExportError("its parts are compressed or encrypted, and `cnn-jax export` stores them as they are.")
    sizes = {part.filename: part.file_size for part in parts}
    if len(sizes) < len(parts) or sum(sizes.values()) > total:
        raise ExportError("its parts lie upon each other; it is damaged, or made to do damage.")
    for name in (ABOUT, PROGRAM):
        if name not in sizes:
            raise ExportError(f"it holds no {name}; it is no file that `cnn-jax export` wrote.")
    if sizes[ABOUT] > _ABOUT_BYTES:
        raise ExportError(f"its {ABOUT} has {sizes[ABOUT]:,} bytes, and {_ABOUT_BYTES:,} are the most that are read.")
    return sizes


def read_program(content: bytes, about: About) -> jax.export.Exported:
    """The program, which calls nothing outside of itself.

    Raises:
      ExportError: where this JAX does not read it, or it does call something.
    """
    try:
        program = jax.export.deserialize(bytearray(content))
        text = program.mlir_module()
    except Exception as error:  # damage, and another JAX, show as every kind of exception
        by = about.more.get("versions", {})
        writer = f"jax {by['jax']}" if isinstance(by, dict) and "jax" in by else "another jax"
        reason = str(error).split(". ")[0] or type(error).__name__
        raise ExportError(
            f"its program, of {writer}, cannot be read by jax {jax.__version__}, which reads what was written at most "
            f"six months before it ({reason}); export the run again."
        ) from error
    if text.count("custom_call") != text.count(_HARMLESS_CALL):
        names = sorted(set(re.findall(r"custom_call @([^\s(]+)", text)) - {"shape_assertion"})
        raise ExportError(f"its program calls what is no part of it: {', '.join(names) or 'in an unknown way'}.")
    return program


def _weight_shapes(program: jax.export.Exported, about: About, names: list[str]) -> dict[str, Any]:
    """The shapes and dtypes that the program takes, by the names of the weights; and that all of it fits."""
    expected: Any = jax.tree.structure(((dict.fromkeys(names, 0), 0), {}))
    if expected != program.in_tree or len(program.out_avals) != 1:
        raise ExportError("its program takes other weights than it holds, or gives no logits; it is damaged.")
    *weights, images = program.in_avals
    if images.dtype != np.uint8 or images.shape[1:] != about.image_shape:
        raise ExportError(f"its program takes images {images.str_short()}, and its {ABOUT} says {about.image_shape}.")
    outputs = program.out_avals[0].shape[-1]
    if outputs != len(about.class_names):
        raise ExportError(f"its program has {outputs} outputs, and its {ABOUT} names {len(about.class_names)} classes.")
    return dict(zip(names, weights, strict=True))


def _read_array(file: zipfile.ZipFile, name: str, size: int, aval: Any) -> np.ndarray:
    with file.open(name) as member:
        version = npy.read_magic(member)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(member)
        if shape != aval.shape or dtype != aval.dtype or size - member.tell() != dtype.itemsize * int(np.prod(shape)):
            raise ExportError(f"its {name} is {dtype.name} {shape}, and the program takes {aval.str_short()}.")
        member.seek(0)
        return npy.read_array(member, allow_pickle=False)
