"""For every key of the configuration, an experiment and values that show whether it has its effect: a line each.

A row begins with the kind of its key.

- `Changes(base, values, *looks)`: a key of the identity. In the experiment `base`, each of the values gives another
  result than the first, in each of the `looks` (functions of `wiring_looks`).
- `Same(base, values)`: a key outside the identity, or a look that one of the identity must not reach. Every value gives
  the same bits of the state, and the same lines of metrics.jsonl but for `time/…`, in a run of `train`; of evaluations
  on the validation split, those that both have.
- `Close(base, values, look)`: the same result to 1e-9 of its largest number; the base is in float64.

A value that is a dictionary sets several keys. `{files}` in a text stands for a folder of weights and images that the
test makes. The values must be such as are accepted; keep them where the effect is far above rounding.
"""

from typing import Any, NamedTuple

from wiring_looks import (
    accepted,
    average,
    evaluation,
    in_processes,
    logits,
    on_two_devices,
    parameters,
    program,
    run,
    run_but_test_lines,
    run_but_training_lines,
    start,
    stream,
)


class Changes:
    def __init__(self, base: dict, values: tuple, *looks: Any) -> None:
        self.base, self.values, self.looks = base, values, looks or (parameters,)


class Same(NamedTuple):
    base: dict
    values: tuple
    look: Any = run


class Close(NamedTuple):
    base: dict
    values: tuple
    look: Any = parameters


COMMON = {"data.batch_size": 16, "optim.learning_rate": 3.2, "train.steps": 8, "model.conv": "xla"}
LENET = COMMON | {"model.name": "lenet5", "data.augment": ["resize(28)"], "data.eval_augment": ["resize(28)"]}
# The backward pass ends before the last layer, whose parameters tell: it compiles in half the time.
HEAD = LENET | {"optim.freeze": "(?!head)"}
RESNET = COMMON | {"model.name": "resnet8_cifar", "model.options.width": 0.25}
PRE_ACTIVATION = COMMON | {"model.name": "wrn16_8", "model.options.width": 0.03}
# The backward pass ends at the layer before the first auxiliary classifier: it compiles in half the time.
GOOGLENET = COMMON | {
    "model.name": "googlenet",
    "model.options.width": 0.03,
    "data.batch_size": 4,
    "data.augment": ["resize(64)"],
    "data.eval_augment": ["resize(64)"],
    "optim.freeze": "(?!inception4a)",
}
ADAMW = {"optim.name": "adamw", "optim.learning_rate": 0.1}
FOLDER = RESNET | {"data.name": "folder", "data.augment": ["resize(8)"], "data.eval_augment": ["resize(8)"]}
WEIGHTS = LENET | {"model.weights": "{files}/one.safetensors"}
FLOAT64 = RESNET | {"model.dtype": "float64"}
RUN = HEAD | {"train.log_every": 2, "train.eval_every": 2, "train.checkpoint_every": 4}
TWO_DEVICES = FLOAT64 | {
    "data.batch_size": 32,
    "optim.ema_decay": 0.9,
    "train.steps": 2,
}
# One and two processes, each with its number and the coordinator's address.
DISTRIBUTED = [Close(TWO_DEVICES, ({"parallel.num_processes": 1}, {"parallel.num_processes": 2}), in_processes)]

ROWS: dict[str, list[Any]] = {
    "name": [Same(LENET, (None, "other"), start)],
    "seed": [Changes(HEAD, (0, 1), start, stream, run)],
    "seeds.init": [Changes(LENET, (None, 7), start), Same(LENET, (None, 7), stream)],
    "seeds.order": [Changes(LENET, (None, 7), stream), Same(LENET, (None, 7), start)],
    "seeds.augment": [
        Changes(LENET | {"data.augment": ["resize(28)", "pad_crop(3)"]}, (None, 7)),
        Changes(LENET | {"data.mix": ["mixup()"]}, (None, 7)),
        Changes(
            FOLDER | {"data.folder": "{files}/three", "data.augment": ["random_resized_crop(8)"]}, (None, 7), stream
        ),
    ],
    "seeds.dropout": [Changes(LENET | {"model.options.dropout": 0.5}, (None, 7))],
    "seeds.split": [
        Changes(FOLDER | {"data.folder": "{files}/three"}, (None, 7), stream),
        Changes(LENET | {"data.examples_per_class": 5}, (None, 7), stream),
    ],
    "model.name": [Changes(RESNET, ("resnet8_cifar", "wrn16_8"), logits)],
    "model.num_classes": [Changes(LENET, (None, 12))],
    "model.dtype": [Changes(HEAD, ("float32", "bfloat16"))],
    "model.conv": [Changes(LENET, ("auto", "xla"), program)],
    "model.ghost_batch": [Changes(RESNET, (None, 4))],
    "model.frozen_norm": [Changes(RESNET, (False, True))],
    "model.unbiased_variance": [Changes(RESNET, (False, True), average)],
    "model.remat": [Close(FLOAT64, (False, True))],
    "model.weights": [
        Changes(WEIGHTS, ("{files}/one.safetensors", "{files}/other.safetensors"), start, logits),
        Same(WEIGHTS, ("{files}/one.safetensors", "{files}/moved/one.safetensors"), start),
    ],
    "model.weights_sha256": [Same(WEIGHTS, (None, "{sha256}"), start)],
    "model.new_head": [Changes(WEIGHTS, (False, True), start)],
    "model.options.activation": [Changes(HEAD, ("tanh", "relu"))],
    "model.options.norm": [Changes(RESNET, ("batch", "none"))],
    "model.options.kernel_init": [Changes(LENET, ("lecun", "normal"), start)],
    "model.options.zero_init_scale": [Changes(RESNET, (False, True), start)],
    "model.options.stem": [Changes(RESNET | {"data.augment": ["resize(16)"]}, ("cifar", "imagenet"))],
    "model.options.width": [Changes(HEAD, (1.0, 0.5))],
    "model.options.dropout": [Changes(LENET, (0.0, 0.5)), Changes(PRE_ACTIVATION, (0.0, 0.5))],
    "model.options.drop_path": [Changes(RESNET, (0.0, 0.5)), Changes(PRE_ACTIVATION, (0.0, 0.5))],
    "model.options.shortcut": [Changes(RESNET, ("A", "C"))],
    "model.options.pool": [Changes(HEAD, ("avg", "max"))],
    "model.options.five_by_five": [Changes(HEAD, ("5x5", "3x3_twice"))],
    "model.options.connections": [Changes(HEAD, ("full", "sparse"))],
    "model.options.variant": [Changes(PRE_ACTIVATION, ("published", "keras"))],
    "model.options.aux": [Changes(GOOGLENET, (False, True))],
    "data.name": [
        Changes(
            FOLDER | {"data.folder": "{files}/three"}, ("folder", {"data.name": "digits", "data.folder": None}), stream
        )
    ],
    "data.batch_size": [Changes(HEAD, (16, 32), parameters, run)],
    "data.folder": [
        Changes(FOLDER, ("{files}/three", "{files}/four"), stream),
        Same(FOLDER, ("{files}/three", "{files}/moved/three"), stream),
    ],
    "data.on_error": [Changes(FOLDER | {"data.folder": "{files}/damaged"}, ("fail", "skip"), accepted)],
    "data.root": [Same(HEAD, (None, "{files}/root"))],
    "data.validation_fraction": [Changes(FOLDER | {"data.folder": "{files}/three"}, (None, 0.5), stream)],
    "data.examples_per_class": [Changes(LENET, (None, 5), stream)],
    "data.class_fractions": [Changes(LENET, ([], [0.2] + [1.0] * 9), stream)],
    "data.label_noise": [Changes(LENET, (0.0, 0.5), stream)],
    "data.augment": [Changes(HEAD, (["resize(28)"], ["resize(28)", "pad_crop(4)"]))],
    "data.mix": [Changes(HEAD, ([], ["mixup(1.0)"], ["cutmix(1.0)"]))],
    "data.eval_augment": [Changes(RESNET, ([], ["resize(12)"]), logits)],
    "data.interpolation": [Changes(HEAD, ("bilinear", "bicubic"), parameters, logits)],
    "data.mean": [Changes(HEAD, ([], [0.9]), parameters, logits, evaluation)],
    "data.std": [Changes(HEAD, ([], [0.9]), parameters, logits, evaluation)],
    "data.eval_views": [Changes(LENET, (None, "flip()"), logits, evaluation)],
    "optim.name": [Changes(HEAD, ("sgd", "adamw", "lamb"))],
    "optim.learning_rate": [Changes(HEAD, (3.2, 1.6))],
    "optim.weight_decay": [Changes(HEAD, (1e-4, 0.1)), Changes(HEAD | ADAMW, (1e-4, 0.5))],
    "optim.arguments.momentum": [Changes(HEAD, (0.9, 0.5))],
    "optim.arguments.nesterov": [Changes(HEAD, (True, False))],
    "optim.arguments.eps": [Changes(HEAD | ADAMW, (1e-8, 1.0))],
    "optim.arguments.eps_root": [Changes(HEAD | ADAMW, (0.0, 0.1))],
    "optim.arguments.mu_dtype": [Changes(HEAD | ADAMW, (None, "bfloat16"))],
    "optim.arguments.b1": [
        Changes(HEAD | ADAMW, (0.9, 0.5)),
        Changes(HEAD | ADAMW | {"optim.name": "lamb"}, (0.9, 0.5)),
    ],
    "optim.arguments.b2": [
        Changes(HEAD | ADAMW, (0.9, 0.5)),
        Changes(HEAD | ADAMW | {"optim.name": "lamb"}, (0.9, 0.5)),
    ],
    "optim.lr_scaling": [Changes(HEAD, ("linear", "sqrt", "none"))],
    "optim.rate_factors": [Changes(LENET, ([], ["c1=0.1"], ["c1=0.1", "c=3"]))],
    "optim.decay": [Changes(LENET | {"optim.weight_decay": 0.1}, ("kernels", "all", "c1"))],
    "optim.schedule": [
        Changes(
            HEAD, ("constant", "cosine", "step(fractions=(0.125, 0.75))", "step(fractions=(0.125, 0.75), factor=0.5)")
        )
    ],
    "optim.warmup_fraction": [Changes(HEAD, (0.0, 0.5))],
    "optim.gradient": [Changes(HEAD, ("plain", "sam", "sam(rho=0.5)"))],
    "optim.clip_norm": [Changes(HEAD, (None, 1e-2))],
    "optim.label_smoothing": [Changes(HEAD, (0.0, 0.3), parameters, evaluation)],
    "optim.ema_decay": [Changes(HEAD, (None, 0.9, 0.05), average)],
    "optim.freeze": [Changes(LENET, (None, "c1"))],
    "train.epochs": [Changes(HEAD | {"train.steps": None}, (0.2, 0.1))],
    "train.steps": [Changes(HEAD, (8, 4))],
    "train.loss": [Changes(HEAD, ("softmax_cross_entropy", "sigmoid_cross_entropy"), parameters, evaluation)],
    "train.log_every": [Same(RUN, (1, 3), run_but_training_lines)],
    "train.metrics": [
        Changes(HEAD, tuple([f"softmax_cross_entropy(label_smoothing={x})"] for x in (0.1, 0.5)), evaluation)
    ],
    "train.test": [Same(RUN, ("end", "never"), run_but_test_lines)],
    "train.eval_every": [Same(RUN, (2, 4))],
    "train.checkpoint_every": [Same(RUN, (4, 3))],
    "train.keep_checkpoints": [Same(RUN, (2, 1))],
    "parallel.accumulate": [Changes(RESNET, (1, 2))],
    "parallel.batch_norm": [Changes(TWO_DEVICES, ("global", "per_device"), on_two_devices)],
    "parallel.strategy": [Close(TWO_DEVICES, ("jit", "pmap", "fsdp"), on_two_devices)],
    "parallel.distributed": DISTRIBUTED,
    "parallel.coordinator": DISTRIBUTED,
    "parallel.num_processes": DISTRIBUTED,
    "parallel.process_id": DISTRIBUTED,
}
