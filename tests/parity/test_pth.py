"""PyTorch's own files: what `read_torch` makes of them where there is a PyTorch. See `test_torchvision.py`."""

import pytest
from comparison import other_side

pytestmark = pytest.mark.parity


def test_files_are_read_to_the_bit_and_pickles_refused_unrun(tmp_path):
    assert "all read, all refused" in other_side("pth_side.py", tmp_path)
