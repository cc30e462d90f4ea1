"""What a network, or the networks of several seeds, are surest about and yet wrong."""

import numpy as np
from jaxtyping import Bool, Float, Int


def surest_mistakes(
    probabilities: Float[np.ndarray, "s n"], correct: Bool[np.ndarray, "s n"], most: int
) -> Int[np.ndarray, "m"]:
    """The examples whose wrong class has the highest probability, in the mean over the rows; the surest first.

    Args:
      probabilities: of the class predicted, a row a network.
      correct: whether that is the true one.
      most: how many at most; examples that all are right about are none.
    """
    sure = np.where(correct, 0, probabilities).mean(0)
    order = np.argsort(-sure, kind="stable")[:most]
    return order[sure[order] > 0]
