"""Weight initialisers under the names of the papers that proposed them.

A layer sums N = kh·kw·c inputs, so the variance of what it puts out is N·Var[w] times that of what comes in. Weights of
standard deviation 1/√N keep it at one; behind a ReLU, which throws half of the signal away, it takes √(2/N).
"""

from flax.linen import initializers
from flax.typing import Initializer

INITIALIZERS: dict[str, Initializer] = {
    # N(0, 2/N): He et al. 2015, "Delving Deep into Rectifiers", eq. 10 (the forward case).
    "he": initializers.variance_scaling(2.0, "fan_in", "normal"),
    # U(±√(6/(N_in + N_out))): Glorot and Bengio 2010, eq. 16.
    "xavier": initializers.variance_scaling(1.0, "fan_avg", "uniform"),
    # N(0, 1/N): LeCun et al. 1998, "Efficient BackProp", §4.6.
    "lecun": initializers.variance_scaling(1.0, "fan_in", "normal"),
    # N(0, 0.01²): Krizhevsky et al. 2012, §5. It fades with depth, which is what the others were found for.
    "normal": initializers.normal(0.01),
}


def initializer(name: str) -> Initializer:
    """The kernel initialiser called `name`: a function (key, shape, dtype) -> array."""
    if name not in INITIALIZERS:
        raise ValueError(f"unknown initialisation {name!r}; it is one of {', '.join(INITIALIZERS)}.")
    return INITIALIZERS[name]
