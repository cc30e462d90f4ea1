"""What went wrong in an experiment file, in words."""

import dataclasses
import re
import traceback
import typing
from pathlib import Path
from typing import Any

from cnn_jax.config.reference import STORED
from cnn_jax.config.sections import Config
from cnn_jax.names import nearest


def place(error: Exception, path: Path) -> str:
    """What went wrong, and in which line of the experiment file, or of the file that cannot be read."""
    if isinstance(error, SyntaxError):
        file = "" if error.filename in (None, str(path)) else f" of `{error.filename}`"
        text = f": {error.text.strip()}" if error.text and error.text.strip() else ""
        return f"line {error.lineno}{file}: {error.msg}{text}" if error.lineno else error.msg
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    spoken = isinstance(error, (TypeError, NameError, ValueError, ImportError)) and str(error)
    said = re.sub(r"(unexpected keyword argument '\w+')\. Did you mean '\w+'\?", r"\1", str(error))  # `remedy` says it
    what = said.rstrip(".") if spoken else f"{type(error).__name__}: {error}".rstrip(": ")
    return f"line {lines[-1]}: {what}" if lines else what


def remedy(error: Exception) -> str:
    """What the writer of an experiment file may have meant."""
    hints = [Config, *typing.get_type_hints(Config).values()]
    parts: dict[str, Any] = {hint.__name__: hint for hint in hints if isinstance(hint, type)}
    if isinstance(error, NameError):
        return f" Import it: `from cnn_jax import {error.name}`." if error.name in parts else ""
    mistake = re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if mistake is None or mistake[1] not in parts:
        return ""
    today = STORED.get(f"optim.{mistake[2]}") if mistake[1] == "OptimConfig" else None
    if today is not None:
        return f' Write it as `arguments={{"{today.rpartition(".")[2]}": …}}`.'
    return nearest(mistake[2], [f.name for f in dataclasses.fields(parts[mistake[1]])])
