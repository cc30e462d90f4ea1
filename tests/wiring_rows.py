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

from small_network import Small
from wiring_looks import (
    accepted,
    average,
    evaluation,
    in_processes,
    logits,
    logits_program,
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
SMALL = COMMON | {"model.name": Small}
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
RUN = SMALL | {"train.log_every": 2, "train.eval_every": 2, "train.checkpoint_every": 4}
TWO_DEVICES = FLOAT64 | {
    "data.batch_size": 32,
    "optim.ema_decay": 0.9,
    "train.steps": 2,
}
# One and two processes, each with its number and the coordinator's address.
DISTRIBUTED = [Close(TWO_DEVICES, ({"parallel.num_processes": 1}, {"parallel.num_processes": 2}), in_processes)]

ROWS: dict[str, list[Any]] = {
    "name": [Same(SMALL, (None, "other"), start)],
    "seed": [Changes(SMALL, (0, 1), start, stream, run)],
    "seeds.init": [Changes(SMALL, (None, 7), start), Same(SMALL, (None, 7), stream)],
    "seeds.order": [Changes(SMALL, (None, 7), stream), Same(SMALL, (None, 7), start)],
    "seeds.augment": [
        Changes(SMALL | {"data.augment": ["pad_crop(2)"]}, (None, 7)),
        Changes(SMALL | {"data.mix": ["mixup()"]}, (None, 7)),
        Changes(
            FOLDER | {"data.folder": "{files}/three", "data.augment": ["random_resized_crop(8)"]}, (None, 7), stream
        ),
    ],
    "seeds.dropout": [Changes(LENET | {"model.options.dropout": 0.5}, (None, 7))],
    "seeds.split": [
        Changes(FOLDER | {"data.folder": "{files}/three"}, (None, 7), stream),
        Changes(SMALL | {"data.examples_per_class": 5}, (None, 7), stream),
    ],
    "model.name": [Changes(RESNET, ("resnet8_cifar", "wrn16_8"), logits)],
    "model.num_classes": [Changes(SMALL, (None, 12))],
    "model.dtype": [Changes(SMALL, ("float32", "bfloat16"))],
    "model.conv": [Changes(LENET, ("auto", "xla"), program)],
    "model.precision": [Changes(LENET, ("default", "highest"), program, logits_program)],
    "model.ghost_batch": [Changes(SMALL, (None, 4))],
    "model.frozen_norm": [Changes(SMALL, (False, True))],
    "model.unbiased_variance": [Changes(SMALL, (False, True), average)],
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
    "model.options.hidden": [Changes(HEAD, (0, 8))],
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
    "data.batch_size": [Changes(SMALL, (16, 32), parameters, run)],
    "data.folder": [
        Changes(FOLDER, ("{files}/three", "{files}/four"), stream),
        Same(FOLDER, ("{files}/three", "{files}/moved/three"), stream),
    ],
    "data.on_error": [Changes(FOLDER | {"data.folder": "{files}/damaged"}, ("fail", "skip"), accepted)],
    "data.root": [Same(RUN, (None, "{files}/root"))],
    "data.validation_fraction": [Changes(FOLDER | {"data.folder": "{files}/three"}, (None, 0.5), stream)],
    "data.examples_per_class": [Changes(SMALL, (None, 5), stream)],
    "data.class_fractions": [Changes(SMALL, ([], [0.2] + [1.0] * 9), stream)],
    "data.label_noise": [Changes(SMALL, (0.0, 0.5), stream)],
    "data.augment": [Changes(SMALL, ([], ["pad_crop(2)"]))],
    "data.mix": [Changes(SMALL, ([], ["mixup(1.0)"], ["cutmix(1.0)"]))],
    "data.eval_augment": [Changes(RESNET, ([], ["resize(12)"]), logits)],
    "data.interpolation": [Changes(HEAD, ("bilinear", "bicubic"), parameters, logits)],
    "data.mean": [Changes(SMALL, ([], [0.9]), parameters, logits, evaluation)],
    "data.std": [Changes(SMALL, ([], [0.9]), parameters, logits, evaluation)],
    "data.eval_views": [Changes(SMALL, (None, "flip()"), logits, evaluation)],
    "optim.name": [Changes(SMALL, ("sgd", "adamw", "lamb"))],
    "optim.learning_rate": [Changes(SMALL, (3.2, 1.6))],
    "optim.weight_decay": [Changes(SMALL, (1e-4, 0.1)), Changes(SMALL | ADAMW, (1e-4, 0.5))],
    "optim.arguments.momentum": [Changes(SMALL, (0.9, 0.5))],
    "optim.arguments.nesterov": [Changes(SMALL, (True, False))],
    "optim.arguments.eps": [Changes(SMALL | ADAMW, (1e-8, 1.0))],
    "optim.arguments.eps_root": [Changes(SMALL | ADAMW, (0.0, 0.1))],
    "optim.arguments.mu_dtype": [Changes(SMALL | ADAMW, (None, "bfloat16"))],
    "optim.arguments.b1": [
        Changes(SMALL | ADAMW, (0.9, 0.5)),
        Changes(SMALL | ADAMW | {"optim.name": "lamb"}, (0.9, 0.5)),
    ],
    "optim.arguments.b2": [
        Changes(SMALL | ADAMW, (0.9, 0.5)),
        Changes(SMALL | ADAMW | {"optim.name": "lamb"}, (0.9, 0.5)),
    ],
    "optim.lr_scaling": [Changes(SMALL, ("linear", "sqrt", "none"))],
    "optim.rate_factors": [Changes(SMALL, ([], ["stem=0.1"], ["stem=0.1", "s=3"]))],
    "optim.decay": [Changes(SMALL | {"optim.weight_decay": 0.1}, ("kernels", "all", "stem"))],
    "optim.schedule": [
        Changes(
            SMALL, ("constant", "cosine", "step(fractions=(0.125, 0.75))", "step(fractions=(0.125, 0.75), factor=0.5)")
        )
    ],
    "optim.warmup_fraction": [Changes(SMALL, (0.0, 0.5))],
    "optim.gradient": [Changes(SMALL, ("plain", "sam", "sam(rho=0.5)"))],
    "optim.clip_norm": [Changes(SMALL, (None, 1e-2))],
    "optim.label_smoothing": [Changes(SMALL, (0.0, 0.3), parameters, evaluation)],
    "optim.ema_decay": [Changes(SMALL, (None, 0.9, 0.05), average)],
    "optim.freeze": [Changes(SMALL, (None, "stem"))],
    "optim.unfreeze": [
        Changes(SMALL | {"optim.freeze": "stem"}, ([], ["stem=0.25"], ["stem=0.75"]), run),
        Close(
            TWO_DEVICES | {"optim.freeze": "(?!head)", "optim.unfreeze": ["stage3=0.5"]},
            tuple({"parallel.strategy": strategy} for strategy in ("jit", "pmap", "fsdp")),
            on_two_devices,
        ),
    ],
    "train.epochs": [Changes(SMALL | {"train.steps": None}, (0.2, 0.1))],
    "train.steps": [Changes(SMALL, (8, 4))],
    "train.loss": [Changes(SMALL, ("softmax_cross_entropy", "sigmoid_cross_entropy"), parameters, evaluation)],
    "train.log_every": [Same(RUN, (2, 3), run_but_training_lines)],
    "train.metrics": [
        Changes(SMALL, tuple([f"softmax_cross_entropy(label_smoothing={x})"] for x in (0.1, 0.5)), evaluation)
    ],
    "train.test": [Same(RUN, ("end", "never"), run_but_test_lines)],
    "train.eval_every": [Same(RUN, (2, 4))],
    "train.checkpoint_every": [Same(RUN, (4, 3))],
    "train.keep_checkpoints": [Same(RUN, (2, 1))],
    "train.steps_per_call": [Same(RUN, (None, 3))],  # on a CPU; `runs/test_calls.py` is of GPUs
    "train.deterministic": [Same(RUN, (False, True))],  # on a CPU; `parallel/test_deterministic.py` is of GPUs
    "parallel.accumulate": [Changes(SMALL, (1, 2))],
    "parallel.batch_norm": [Changes(TWO_DEVICES, ("global", "per_device"), on_two_devices)],
    "parallel.strategy": [Close(TWO_DEVICES, ("jit", "pmap", "fsdp"), on_two_devices)],
    "parallel.distributed": DISTRIBUTED,
    "parallel.coordinator": DISTRIBUTED,
    "parallel.num_processes": DISTRIBUTED,
    "parallel.process_id": DISTRIBUTED,
}
