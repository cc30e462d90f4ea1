"""Mixup and cutmix: a batch mixed with a permutation of itself.

They act on the global batch inside jit, so the pairs are the same whatever devices its rows lie on, and one number is
drawn per step for the whole batch, as in the authors' code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Num

from cnn_jax.data.augmentation.erase import inside
from cnn_jax.data.augmentation.image_op import integers
from cnn_jax.data.call import Call, parse_call
from cnn_jax.randomness import Seed, random_key

Images = Num[Array, "b h w c"]
Targets = Float[Array, "b k"]
Mixed = tuple[Images, Targets]


def mixup(key: Key[Array, ""], images: Images, targets: Targets, alpha: float = 0.2) -> Mixed:
    """λ · batch + (1 − λ) · permuted batch, images and targets alike, with λ from Beta(α, α).

    The images become float32, or float64 beside float64 targets.

    Source: Zhang et al. 2018 (α from 0.1 to 0.4 on ImageNet).
    """
    _check_alpha("mixup", alpha)
    draw, pair = jax.random.split(key)
    share = jax.random.beta(draw, alpha, alpha, dtype=jnp.float32)
    other = jax.random.permutation(pair, images.shape[0])
    images = images.astype(_exact(images, targets))
    return _blend(share, images, images[other]), _blend(share, targets, targets[other])


def cutmix(key: Key[Array, ""], images: Images, targets: Targets, alpha: float = 1.0) -> Mixed:
    """Paste a rectangle of the permuted batch, the same for all, and weigh the targets by the areas.

    The images keep their dtype. The rectangle has the image's aspect and the area 1 − λ, λ from Beta(α, α); its centre
    is anywhere, and what reaches over the border is cut off, so the targets follow the area that was really pasted.

    Source: Yun et al. 2019 (α = 1), and the authors' code.
    """
    _check_alpha("cutmix", alpha)
    draw, pair, place = jax.random.split(key, 3)
    side = jnp.sqrt(1 - jax.random.beta(draw, alpha, alpha, dtype=jnp.float32))
    other = jax.random.permutation(pair, images.shape[0])
    height, width = images.shape[1:3]
    size = jnp.array([height, width], jnp.int32)
    rows_columns = (side * size).astype(jnp.int32)
    first = integers(place, 0, size, (2,)) - rows_columns // 2
    pasted = inside(height, width, first[0], first[1], rows_columns[0], rows_columns[1])
    share = 1 - pasted.mean(dtype=_exact(targets))
    return jnp.where(pasted, images[other], images), _blend(share, targets, targets[other])


MIXES: dict[str, Callable[..., Mixed]] = {"mixup": mixup, "cutmix": cutmix}


@dataclass(frozen=True)
class Mix:
    """Mixing operations, `(key, images, targets) -> (images, targets)`; equal and hashable, with their arguments."""

    ops: tuple[Call, ...]

    def check(self, image_shape: tuple[int, int, int], num_classes: int) -> None:
        """Refuse arguments that the operations cannot be applied with: raises ValueError."""
        key = jax.eval_shape(jax.random.key, 0)
        images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
        targets = jax.ShapeDtypeStruct((2, num_classes), jnp.float32)
        for op in self.ops:
            jax.eval_shape(op, key, images, targets)


def parse_mix(specs: Sequence[str | Callable[..., Mixed]]) -> Mix:
    """Turn calls written as text, such as "mixup(0.2)", and functions of your own into operations.

    Raises:
      ValueError: as `parse_augment`.
    """
    return Mix(tuple(_parse(spec) for spec in specs))


def _parse(spec: str | Callable[..., Mixed]) -> Call:
    if isinstance(spec, str):
        return parse_call(spec, MIXES, "mixing", given=3)
    return Call(getattr(spec, "func", spec).__name__, spec)


def apply_mix(mix: Mix, images: Images, targets: Targets, *, seed: Seed, step: Num[Array, ""]) -> Mixed:
    """Apply one of the operations, drawn anew in each step; without any, return the batch as it is.

    Args:
      images: the global batch, after `apply_augment`, on any scale.
      targets: one row per image that sums to 1, e.g. one-hot.
    """
    if not mix.ops:
        return images, targets
    key = random_key(seed, "mix", step)
    if len(mix.ops) == 1:
        return mix.ops[0](key, images, targets)
    images = images.astype(_exact(images, targets))  # the branches of a switch must agree
    chosen = integers(random_key(seed, "mix/choice", step), 0, len(mix.ops))
    return jax.lax.switch(chosen, mix.ops, key, images, targets)


def _exact(*arrays: Array) -> jnp.dtype:
    """The dtype to mix in: float32 or wider."""
    return jnp.result_type(jnp.float32, *(array.dtype for array in arrays))


def _blend(share: Array, x: Array, other: Array) -> Array:
    """share · x + (1 − share) · other, in the dtype of `x`; half precision is rounded once, at the end."""
    exact = _exact(x)
    share = share.astype(exact)
    return (share * x.astype(exact) + (1 - share) * other.astype(exact)).astype(x.dtype)


def _check_alpha(name: str, alpha: float) -> None:
    if not alpha > 0:
        raise ValueError(f"`{name}.alpha` must be positive, got {alpha}; leave {name} out for no mixing.")
