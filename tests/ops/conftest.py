"""Every test of this folder runs strictly: dtypes never promoted by accident, ranks never either."""

import jax
import pytest


@pytest.fixture(autouse=True)
def strict():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
