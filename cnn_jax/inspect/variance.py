"""How a network's signal lives or dies on its way down: the lecture's argument for initialising by 1/√N."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.modules import Conv


def variance_through_depth(
    model: nn.Module, variables: dict[str, Any], images: Float[Array, "n h w c"]
) -> dict[str, float]:
    """The variance of what each convolution puts out, before its activation, in the order of computation.

    Args:
      model: from `create_model`; of interest without normalisation, which would hide the effect.
      variables: fresh ones, from `initialize`.
      images: NHWC, of about unit variance.

    Returns:
      Variance about zero (the mean square, which is what a ReLU's input passes on) by the convolution's path.
    """

    def run(variables: dict[str, Any], images: Array) -> list[Array]:
        squares: list[tuple[str, Array]] = []

        def watch(call: Any, arguments: Any, keywords: Any, context: nn.module.InterceptorContext) -> Any:
            output = call(*arguments, **keywords)
            if isinstance(context.module, Conv) and context.method_name == "__call__":
                squares.append(("/".join(context.module.path), jnp.square(output.astype(jnp.float32)).mean()))
            return output

        with nn.intercept_methods(watch):
            model.apply(variables, images, train=False)
        names.extend(name for name, _ in squares)
        return [square for _, square in squares]

    names: list[str] = []  # filled when `run` is traced
    values = jax.jit(run)(variables, images)
    return {name: float(value) for name, value in zip(names, values, strict=True)}
