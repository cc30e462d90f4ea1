"""The maps inside a network by name: which there are, what an image makes of them, how a logit depends on one.

A name is one that the network gives by `expose`, or the path of a submodule, whose output it then stands for; so a
network of one's own has names although it gives none.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cnn_jax.nearest import nearest_names

Shape = tuple[int, ...]
ImageShape = tuple[int, int, int]
_SOWN = "inspected"  # the collection that a feature is read through, and no network's own


def named_features(model: nn.Module, variables: Mapping[str, Any], image_shape: ImageShape) -> dict[str, Shape]:
    """Every named feature with its shape for one image, in the order of computation: exposed ones, then submodules'.

    A submodule that is called again has a name for each call: `Conv_0`, `Conv_0(2)`.

    Args:
      model: any Linen module that is called `(images, train=…)`.
      variables: "params", and "batch_stats" where it has them; or their shapes.
      image_shape: height, width, channels.
    """
    exposed, others = _exposed_and_others(model, variables, image_shape)
    return exposed | others


def _exposed_and_others(
    model: nn.Module, variables: Mapping[str, Any], image_shape: ImageShape
) -> tuple[dict[str, Shape], dict[str, Shape]]:
    exposed: dict[str, Shape] = {}
    others: dict[str, Shape] = {}

    def note(name: str, x: Array, is_exposed: bool, _: nn.Module) -> Array:
        (exposed if is_exposed else others)[name] = x.shape[1:]
        return x

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with nn.intercept_methods(_watch(note)):
        jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, images)
    return exposed, others


def is_spatial(shape: Shape) -> bool:
    """Whether a feature of this shape for one image is a map of several places: height, width, channels."""
    return len(shape) == 3 and shape[0] * shape[1] > 1


def spatial_features(model: nn.Module, variables: Mapping[str, Any], image_shape: ImageShape) -> dict[str, Shape]:
    """The named features that are maps of several places; those that the network exposes, if there are any.

    Raises:
      ValueError: where there is none.
    """
    for features in _exposed_and_others(model, variables, image_shape):
        if found := {name: shape for name, shape in features.items() if is_spatial(shape)}:
            return found
    raise ValueError(
        f"{type(model).__name__} has no feature map of more than one place: neither does it `expose` one, nor does a "
        "submodule put one out."
    )


def check_feature(
    model: nn.Module,
    variables: Mapping[str, Any],
    image_shape: ImageShape,
    name: str,
    *,
    spatial: bool = False,
) -> Shape:
    """The shape of a named feature for one image.

    Args:
      spatial: whether it has to be a map.

    Raises:
      ValueError: for a name that there is not, with the nearest that there are; or for a feature that is no map.
    """
    features = named_features(model, variables, image_shape)
    if name not in features:
        meant = nearest_names(name, features) or list(features)[:6]
        near = f"The nearest are {', '.join(meant)}." if meant else "It has none."
        raise ValueError(f"{type(model).__name__} has no feature {name!r}. {near}")
    if spatial and not is_spatial(features[name]):
        maps = [n for n, s in features.items() if is_spatial(s)]
        size = "×".join(map(str, features[name]))
        raise ValueError(
            f"the feature {name!r} is no map but {size} numbers; maps are {', '.join(maps) or 'not there'}."
        )
    return features[name]


def feature(
    model: nn.Module, variables: Mapping[str, Any], images: Float[Array, "n h w c"], name: str
) -> Float[Array, "n ..."]:
    """What a network makes of images at one named feature, in evaluation mode; a map is NHWC.

    Raises:
      ValueError: as `check_feature`.
    """
    check_feature(model, variables, shape_of(images), name)
    return jax.jit(lambda v, x: with_feature(model, v, x, name)[1])(variables, images)


def with_feature(
    model: nn.Module, variables: Mapping[str, Any], images: Array, name: str, shift: Array | None = None
) -> tuple[Float[Array, "n k"], Float[Array, "n ..."]]:
    """The logits, and one named feature that `shift` is added to on its way: to be differentiated by `shift`."""

    def keep(found: str, x: Array, _: bool, module: nn.Module) -> Array:
        if found != name:
            return x
        x = x if shift is None else x + shift
        module.sow(_SOWN, "value", x)
        return x

    with nn.intercept_methods(_watch(keep)):
        found, state = model.apply(variables, images, train=False, mutable=[_SOWN])
    (value,) = jax.tree.leaves(state[_SOWN])
    return found, value


def feature_gradient(
    model: nn.Module,
    variables: Mapping[str, Any],
    images: Float[Array, "n h w c"],
    name: str,
    classes: Int[Array, "n"] | int | None = None,
    *,
    spatial: bool = False,
) -> tuple[Float[Array, "n ..."], Float[Array, "n ..."]]:
    """A named feature, and the gradient of each image's logit of a class with respect to it.

    Args:
      spatial: whether the feature has to be a map.
      classes: whose logits, one an image or one for all; None is the class predicted for each.

    Raises:
      ValueError: as `check_feature`; for a class that there is not; for a feature that no logit depends on.
    """
    check_feature(model, variables, shape_of(images), name, spatial=spatial)

    def run(variables: Any, images: Array, classes: Any) -> tuple[Array, Array]:
        def score(shift: Array) -> tuple[Array, Array]:
            found, value = with_feature(model, variables, images, name, shift)
            return chosen_logit(found, classes).sum(), value

        value = jax.eval_shape(lambda: with_feature(model, variables, images, name)[1])
        gradient, value = jax.grad(score, has_aux=True)(jnp.zeros(value.shape, value.dtype))
        return value, gradient

    check_classes(model, variables, shape_of(images), classes)
    value, gradient = jax.jit(run)(variables, images, classes)
    if not bool((gradient != 0).any()):
        raise ValueError(
            f"no logit of {type(model).__name__} depends on its feature {name!r}; where the network exposes it, what "
            "`expose` returns must be what it goes on with: `x = self.expose(name, x)`."
        )
    return value, gradient


def shape_of(images: Float[Array, "n h w c"]) -> ImageShape:
    """Of one image; raises ValueError for another rank than four."""
    if images.ndim != 4:
        raise ValueError(f"images are of shape [batch, height, width, channels], got {images.shape}.")
    return images.shape[1], images.shape[2], images.shape[3]


def logits(model: nn.Module, variables: Mapping[str, Any], images: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
    """Of a network in evaluation mode."""
    return model.apply(variables, images, train=False)  # type: ignore[return-value]


def chosen_logit(found: Float[Array, "n k"], classes: Int[Array, "n"] | int | None) -> Float[Array, "n"]:
    """Of each row the logit of its class, or of a class for all; the largest for None."""
    found = found.astype(jnp.promote_types(found.dtype, jnp.float32))
    if classes is None:
        return found.max(-1)
    return jnp.take_along_axis(found, jnp.broadcast_to(classes, found.shape[:1])[:, None], axis=-1)[:, 0]


def check_classes(
    model: nn.Module, variables: Mapping[str, Any], image_shape: ImageShape, classes: Int[Array, "n"] | int | None
) -> None:
    """Refuses classes that the network does not have.

    Raises:
      ValueError: naming one of them and how many there are.
    """
    if classes is None:
        return
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    number = jax.eval_shape(lambda v, x: logits(model, v, x), variables, images).shape[-1]
    wrong = [int(k) for k in jnp.ravel(jnp.asarray(classes)) if not 0 <= k < number]
    if wrong:
        raise ValueError(f"there is no class {wrong[0]}: {type(model).__name__} has {number}, from 0.")


def _watch(visit: Callable[[str, Array, bool, nn.Module], Array]) -> Any:
    """An interceptor that passes each named feature through `visit(name, value, whether it is exposed, its module)`."""
    calls: Counter[str] = Counter()

    def numbered(name: str) -> str:
        calls[name] += 1
        return name if calls[name] == 1 else f"{name}({calls[name]})"

    def watch(call: Any, arguments: Any, keywords: Any, context: nn.module.InterceptorContext) -> Any:
        module, path = context.module, context.module.path
        if context.method_name == "expose" and len(arguments) == 2:
            name, x = arguments
            return call(name, visit(numbered("/".join((*path, name))), x, True, module))
        output = call(*arguments, **keywords)
        if context.method_name == "__call__" and path and isinstance(output, jax.Array) and output.ndim > 1:
            return visit(numbered("/".join(path)), output, False, module)
        return output

    return watch
