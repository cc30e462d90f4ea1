"""The kernels of a test run, compiled once for all its processes."""

from pathlib import Path

import pytest

from cnn_jax.native import build


@pytest.fixture(scope="module", autouse=True)
def cache():
    """Where they lie: among the checkout's other caches, with which they are thrown away."""
    with pytest.MonkeyPatch.context() as patch:
        folder = Path(__file__).parents[2] / ".pytest_cache" / "kernels"
        patch.setenv("XDG_CACHE_HOME", str(folder))
        if why_not := build.offer().why_not:
            pytest.skip(f"no kernels in C++ here: {why_not}")
        build._built(build.offer())  # a test of another room may have loaded it from another cache
        assert build.ready()
        yield folder
