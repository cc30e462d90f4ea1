import pytest
from jax import numpy_dtype_promotion, numpy_rank_promotion


@pytest.fixture(autouse=True)
def strict():
    """Models mix no dtypes and no ranks by accident."""
    with numpy_dtype_promotion("strict"), numpy_rank_promotion("raise"):
        yield
