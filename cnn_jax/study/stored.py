"""`study.json`: what a study asks, beside its runs; how far they are, their own folders say."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnn_jax.config import Config, ConfigError, flatten
from cnn_jax.config.identity import from_stored
from cnn_jax.data.store.lock_file import lock
from cnn_jax.runs.folder.files import json_crc32, write_atomically
from cnn_jax.runs.folder.stored import RunError
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.study.ablation import BASE, Study

FILE_NAME = "study.json"
SCHEMA = 1


@dataclass(frozen=True)
class StoredStudy:
    """An ablation as its folder holds it."""

    name: str
    question: str
    metric: str
    configs: Mapping[tuple[str, int], Config]
    """By arm and seed, the base first; functions are names, and nothing of them is loaded."""
    code: Mapping[str, dict[str, Any] | None]
    """What counts of one's own code, by arm, as a run's `config.json` keeps it."""

    @property
    def arms(self) -> list[str]:
        """The base, and the others."""
        return list(self.code)


def store_study(study: Study, place: Path) -> None:
    """Writes what a study asks into its folder, which is made where it is missing.

    Raises:
      ConfigError: for a function that an arm names and that there is not.
    """
    arms: dict[str, dict[str, Any]] = {}
    for (arm, seed), config in study.configs.items():
        try:
            complete = resolve_parts(config)
        except ConfigError as error:
            raise ConfigError(f"the arm {arm!r}: {error}") from error
        code = None if complete.code is None else complete.code.record()
        arms.setdefault(arm, {"code": code, "configs": {}})["configs"][str(seed)] = flatten(complete)
    for stored in arms.values():
        stored |= _shared(stored.pop("configs"))
    ablation = study.ablation
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "name": study.name,
        "question": ablation.question,
        "metric": ablation.metric,
    }
    content |= {"seeds": [int(seed) for seed in ablation.seeds], "arms": arms}
    text = json.dumps({"checksum": json_crc32(content), **content}, indent=2) + "\n"
    write_shared(place / FILE_NAME, text)


def _shared(configs: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The keys whose values are those of every seed, and the others by seed."""
    first = next(iter(configs.values()))
    same = {k: v for k, v in first.items() if all(k in c and c[k] == v for c in configs.values())}
    return {
        "config": same,
        "by_seed": {seed: {k: v for k, v in config.items() if k not in same} for seed, config in configs.items()},
    }


def write_shared(path: Path, text: str) -> None:
    """Writes a file of a study's folder, in which several processes may be at work, one after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock(folder, wait=True)
        write_atomically(path, text)
    finally:
        os.close(folder)


def read_study(place: Path) -> StoredStudy | None:
    """What the study of a folder asks; None where there is no `study.json`.

    Raises:
      RunError: where the file is damaged, or none that cnn_jax wrote.
    """
    path = place / FILE_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        if content.get("schema") != SCHEMA:
            raise ValueError(f"its schema is {content.get('schema')!r}, and this version reads {SCHEMA}")
        if content.pop("checksum", None) != json_crc32(content):
            raise ValueError("its checksum is another, so it is not as it was written")
        name, question, metric = (_text(content[key]) for key in ("name", "question", "metric"))
        configs, code = {}, {}
        for seed in content["seeds"]:
            for arm, stored in content["arms"].items():
                if "/" in arm or arm[:1] in ("", "."):
                    raise ValueError(f"an arm is called {arm!r}, which names no folder of the study")
                code[arm] = stored["code"]
                configs[arm, int(seed)] = from_stored(stored["config"] | stored["by_seed"][str(seed)])
        if next(iter(code), None) != BASE:
            raise ValueError(f"its first arm is not {BASE!r}")
        return StoredStudy(name, question, metric, configs, code)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        remedy = "`cnn-jax ablate` with the study's file writes it again, and trains nothing that is done."
        raise RunError(f"`{path}` cannot be read as a study: {error}. {remedy}") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} stands where a text belongs")
    return value
