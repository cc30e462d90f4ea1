"""Which paths Orbax and TensorStore read as the file system does, and RUN@STEP."""

from pathlib import Path

from cnn_jax.config import ConfigError
from cnn_jax.paths import local_path

# Orbax looks for its files with glob on the whole path, where `[` begins a set of characters and `**` is refused;
# TensorStore takes `\` for a separator.  Other punctuation, spaces, newlines and all of Unicode were tried, and work.
_MISREAD = ("[", "\\", "**")


def check_path(folder: Path) -> None:
    """Refuses a folder in which checkpoints could be written and not be read back.

    Raises:
      ConfigError: naming the characters.
    """
    text = str(folder.absolute())
    found = [characters for characters in _MISREAD if characters in text]
    try:
        text.encode()
    except UnicodeEncodeError:
        found.append("bytes that are no UTF-8")
    found += [part for part in folder.absolute().parts if part in ("gs:", "s3:", "az:", "hf:")]
    if found:
        raise ConfigError(
            f"the run folder is {ascii(text)[1:-1]}: the checkpoint library reads its {' and '.join(found)} otherwise "
            "than the file system does, and nothing saved there could be read back. Give a `--workdir` (or --out) "
            "without such characters, such as lenet-lr=0.1 for lenet[lr=0.1]."
        )


def run_and_step(given: str, what: str) -> tuple[Path, str]:
    """The folder and the step of RUN, which means the latest, or RUN@STEP.

    Args:
      what: is given so, for the messages.

    Raises:
      ConfigError: when what stands behind RUN is no step.
    """
    folder, at, step = given.rpartition("@")
    if not at or Path(given).is_dir():
        return local_path(given, what, utf8=False), "latest"
    place = local_path(folder, what, utf8=False)
    if place.is_dir() and step not in ("latest", "best") and not step.isdigit():  # else a file may be called so
        raise ConfigError(f"`{what}` is `{given}`: after @ comes a step, latest or best, and not {step!r}.")
    return place, step
