"""The commands about networks: models."""

from cnn_jax.cli.flags import Debug, Json, print_figures


def models(json: Json = False, debug: Debug = False) -> int:
    """List the networks."""
    from cnn_jax.models import list_models

    names = list_models()
    return print_figures({"models": names}, json, lambda: print("\n".join(names)))
