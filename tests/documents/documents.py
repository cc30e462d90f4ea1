"""The documents of the project, and what stands in their fenced blocks."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("cnn_jax", "experiments", "tests", ".github")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])


def name(path: Path) -> str:
    """A document's name in the list of tests."""
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str = "") -> list[str]:
    """The fenced blocks of a language, in order."""
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
