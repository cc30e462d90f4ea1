"""The README's own idea, as the file that its reader saves."""

import pytest
from documents import ROOT, blocks


@pytest.fixture(scope="session")
def own_idea(tmp_path_factory):
    """The README's `mine.py`."""
    (source,) = (block for block in blocks(ROOT / "README.md", "python") if "nn.Module" in block)
    path = tmp_path_factory.mktemp("own") / "mine.py"
    path.write_text(source)
    return path
