"""`python -m cnn_jax` is the command line."""

from cnn_jax.cli import entry_point

if __name__ == "__main__":
    entry_point()
