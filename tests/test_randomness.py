"""The addresses of random numbers."""

import jax
import numpy as np
import pytest

from cnn_jax.randomness import random_key


@pytest.mark.parametrize("seed", [-1, 2**32, 2**32 + 7])
def test_a_seed_that_would_be_cut_is_refused(seed):
    with pytest.raises(ValueError, match="`seed` must lie from 0 to 4294967295"):
        random_key(seed, "init")


def test_keys_stay_what_they_were():
    # Recorded runs depend on them.
    keys = [jax.random.key_data(random_key(seed, "init", 3)).tolist() for seed in (0, 2**32 - 1)]
    assert keys == [[3363987614, 2020827378], [2690176993, 3488342858]]


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1])
def test_a_seed_in_an_array_is_the_seed_and_no_part_of_the_program(seed):
    draw = jax.jit(lambda seed: jax.random.key_data(random_key(seed, "init", 3)))
    assert draw(np.uint32(seed)).tolist() == jax.random.key_data(random_key(seed, "init", 3)).tolist()
    assert draw.lower(np.uint32(seed)).as_text() == draw.lower(np.uint32(7)).as_text()
