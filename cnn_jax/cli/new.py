"""The command `new`: an experiment file to start from."""

import os
import shlex
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from cnn_jax.config import ConfigError
from cnn_jax.paths import local_path


def new(file: Annotated[Path, arg(metavar="FILE", help="The Python file to write, e.g. mine.py.")], /) -> int:
    """Write an experiment file to start from: LeNet-5 on the digits, which trains as it is."""
    file = local_path(file, "FILE", utf8=False)
    if file.suffix != ".py":
        raise ConfigError(f"`FILE` must be a Python file, got {file}; write `cnn-jax new {file}.py`.")
    if os.path.lexists(file):
        raise FileExistsError(f"`{file}` is there already, and stays as it is; give another name.")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"the folder `{file.parent}` is not there; make it first, or write the file elsewhere.")
    path = shlex.quote(str(file))
    text = Path(__file__).with_name("template.py").read_text(encoding="utf-8")
    with open(file, "x", encoding="utf-8") as out:
        out.write(text.replace("FILE", path))
    print(f"wrote {file}; train it with\n\n    cnn-jax train {path}\n")
    return 0
