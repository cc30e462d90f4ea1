"""What an identity takes for granted, written out: frozen tables that no default of the package can move.

A key counts in an identity where its value differs from the one here. So a new key enters a table with the value that
means "as before", and renames no run; a default that changes elsewhere renames what uses it, and nothing else. Nothing
here is ever edited or taken out: that would rename runs. What a release makes a key mean anew gets a mark (`MARKS`).
"""

from collections.abc import Callable, Mapping
from typing import Any

# The names under which keys count, where today's are others.
NAMES = {"model.options.kernel_init": "model.options.init"}

# The names under which keys were stored with runs, where today's are others. None: a key that never had a value.
STORED: dict[str, str | None] = {
    "model.options.ghost_batch": "model.ghost_batch",
    "model.options.frozen_norm": "model.frozen_norm",
    "model.options.unbiased_running_var": "model.unbiased_variance",
    "model.options.remat": "model.remat",
    "model.options.init": "model.options.kernel_init",
    "model.options.axis_name": None,
    "optim.momentum": "optim.arguments.momentum",
    "optim.nesterov": "optim.arguments.nesterov",
    "optim.beta1": "optim.arguments.b1",
    "optim.beta2": "optim.arguments.b2",
}

REFERENCE: dict[str, Any] = {
    "seed": 0,
    "seeds.init": None,
    "seeds.order": None,
    "seeds.augment": None,
    "seeds.dropout": None,
    "seeds.split": None,
    "model.name": "lenet5",
    "model.num_classes": None,
    "model.dtype": "float32",
    "model.conv": "auto",
    "model.precision": "default",
    "model.new_head": False,
    "model.ghost_batch": None,
    "model.frozen_norm": False,
    "model.unbiased_variance": False,
    "data.name": "digits",
    "data.batch_size": 128,
    "data.on_error": "fail",
    "data.validation_fraction": 0.1,
    "data.examples_per_class": None,
    "data.class_fractions": (),
    "data.label_noise": 0.0,
    "data.augment": (),
    "data.mix": (),
    "data.eval_augment": (),
    "data.interpolation": "bilinear",
    "data.mean": (),
    "data.std": (),
    "data.eval_views": None,
    "optim.name": "sgd",
    "optim.learning_rate": 0.1,
    "optim.lr_scaling": "linear",
    "optim.rate_factors": (),
    "optim.weight_decay": 1e-4,
    "optim.decay": "kernels",
    "optim.schedule": ("cosine", {}),
    "optim.gradient": ("plain", {}),
    "optim.warmup_fraction": 0.0,
    "optim.clip_norm": None,
    "optim.label_smoothing": 0.0,
    "optim.ema_decay": None,
    "optim.freeze": None,
    "optim.unfreeze": (),
    "train.epochs": 10.0,
    "train.steps": None,
    "train.loss": ("softmax_cross_entropy", {}),
    "train.metrics": (),
    "parallel.accumulate": 1,
}

# Where None says the value above; elsewhere None is a value of its own.
UNSET = frozenset({"data.validation_fraction", "model.frozen_norm", "model.unbiased_variance", "train.epochs"})

# Sets of image files; of others an image's size stands in the table of known sets.
_IMAGE_FILES = ("folder", "imagenet2012", "imagenette")

# The second meaning of a key, and so on: its mark stands in the identities of the experiments that use it, told by
# their counted keys, and in no others.
MARKS: dict[str, tuple[int, Callable[[Mapping[str, Any]], bool]]] = {
    # The average's start has less weight, and BatchNorm's statistics are averaged, too.
    "optim.ema_decay": (2, lambda keys: "optim.ema_decay" in keys),
    # A part of the examples that are trained on; it was one of all examples, before a subset was taken.
    "data.label_noise": (
        2,
        lambda keys: (
            "data.label_noise" in keys and bool({"data.examples_per_class", "data.class_fractions"} & keys.keys())
        ),
    ),
    # Evaluation scales image files as Pillow does, bilinear as well.
    "data.interpolation": (
        2,
        lambda keys: "data.interpolation" not in keys and str(keys.get("data.name")).partition("/")[0] in _IMAGE_FILES,
    ),
}

# Arguments of our optimisers, and of our other functions by the key that names them: what no word about them means.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9, "nesterov": True},
    "adamw": {"b1": 0.9, "b2": 0.999, "eps": 1e-8, "eps_root": 0.0, "mu_dtype": None, "nesterov": False},
    "lamb": {"b1": 0.9, "b2": 0.999, "eps": 1e-6, "eps_root": 0.0},
}
PARTS: dict[str, dict[str, dict[str, Any]]] = {
    "optim.schedule": {
        "cosine": {"alpha": 0.0, "exponent": 1.0},
        "constant": {},
        "step": {"fractions": (0.5, 0.75), "factor": 0.1},
    },
    "optim.gradient": {"plain": {}, "sam": {"rho": 0.05}},
    "train.loss": {"softmax_cross_entropy": {}, "sigmoid_cross_entropy": {}},
}

# Parameters of the operations in `data.augment`, `mix`, `eval_augment` and `eval_views`, in their order, with what is
# taken where they are not given: a value, another parameter's value, or nothing.
REQUIRED = object()


class Same(str):
    """The value of the parameter that is named."""


_SQUARE = {"height": REQUIRED, "width": Same("height")}
CALLS: dict[str, dict[str, Any]] = {
    "pad_crop": {"padding": REQUIRED, "fill": 0},
    "random_crop": _SQUARE,
    "random_resized_crop": {**_SQUARE, "scale": (0.08, 1.0), "ratio": (0.75, 1.3333333333333333)},
    "resize": _SQUARE,
    "resize_shorter": {"size": REQUIRED},
    "center_crop": _SQUARE,
    "pad": {"padding": REQUIRED, "fill": 0},
    "horizontal_flip": {"probability": 0.5},
    "vertical_flip": {"probability": 0.5},
    "rotate90": {},
    "rotate": {"degrees": REQUIRED, "fill": 0},
    "to_rgb": {},
    "to_gray": {},
    "grayscale": {},
    "random_grayscale": {"probability": 0.1},
    "brightness": {"strength": REQUIRED},
    "contrast": {"strength": REQUIRED},
    "saturation": {"strength": REQUIRED},
    "hue": {"strength": REQUIRED},
    "pca_lighting": {"deviation": 0.1},
    "cutout": {"size": REQUIRED, "fill": 0},
    "random_erasing": {"probability": 0.5, "area": (0.02, 0.4), "ratio": 0.3, "fill": None},
    "rand_augment": {"num_ops": 2, "magnitude": 9},
    "trivial_augment": {},
    "mixup": {"alpha": 0.2},
    "cutmix": {"alpha": 1.0},
    "flip": {},
    "ten_crop": _SQUARE,
}

# What was published: `model.options` counts where it departs from the paper of its network.
_EVERY = {"activation": "relu", "init": "he", "width": 1.0, "dropout": 0.5, "hidden": 0}
_PLAIN = {**_EVERY, "norm": "none", "pool": "max"}
_BN = {**_PLAIN, "norm": "batch"}
_GOOGLENET = {**_BN, "dropout": 0.2, "five_by_five": "3x3", "aux": False}
_RESNET_V2 = {**_BN, "dropout": 0.0, "drop_path": 0.0, "stem": "imagenet", "shortcut": "B", "variant": "published"}
_RESNET = {k: v for k, v in _RESNET_V2.items() if k != "variant"} | {"zero_init_scale": False}
_PAPERS: list[tuple[str, dict[str, Any]]] = [
    (
        "lenet5",
        {
            **_PLAIN,
            "activation": "tanh",
            "init": "lecun",
            "dropout": 0.0,
            "pool": "avg",
            "five_by_five": "5x5",
            "connections": "full",
        },
    ),
    ("alexnet vgg11 vgg13 vgg16 vgg19", _PLAIN),
    ("alexnet_paper", {**_PLAIN, "init": "normal"}),
    ("vgg11_bn vgg13_bn vgg16_bn vgg19_bn", _BN),
    ("googlenet", _GOOGLENET),
    ("googlenet_paper", {**_GOOGLENET, "norm": "none", "init": "xavier", "dropout": 0.4, "five_by_five": "5x5"}),
    ("inception_v3", {**_EVERY, "norm": "batch", "variant": "published", "aux": False}),
    ("resnet18 resnet34 resnet50 resnet101 resnet152 resnet50_v1", _RESNET),
    ("resnext50_32x4d resnext101_32x8d wide_resnet50_2 wide_resnet101_2", _RESNET),
    (
        "resnet8_cifar resnet20_cifar resnet32_cifar resnet44_cifar resnet56_cifar resnet110_cifar",
        {**_RESNET, "stem": "cifar", "shortcut": "A"},
    ),
    ("resnet50_v2", _RESNET_V2),
    (
        "resnet20_v2_cifar resnet32_v2_cifar resnet44_v2_cifar resnet56_v2_cifar resnet110_v2_cifar",
        {**_RESNET_V2, "stem": "cifar", "shortcut": "A"},
    ),
    ("resnet164_v2_cifar wrn16_8 wrn28_10", {**_RESNET_V2, "stem": "cifar"}),
    ("plain34", {**_RESNET, "shortcut": "none"}),
    (
        "plain20_cifar plain32_cifar plain44_cifar plain56_cifar",
        {**_RESNET, "stem": "cifar", "shortcut": "none"},
    ),
]
PAPERS = {name: options for names, options in _PAPERS for name in names.split()}
