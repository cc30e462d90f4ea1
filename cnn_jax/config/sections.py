"""The sections of a configuration and their keys.

Only what one chooses stands here (the learning rate at batch 256, the number of epochs); what follows from it is
worked out after all overrides, in `cnn_jax.runs.derive`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from cnn_jax.code.own_code import OwnCode

Part = Annotated[str | Callable[..., Any], tyro.conf.arg(constructor=str, metavar="NAME")]
"""A function by its name (see `cnn_jax.names`). An experiment file may hold the function itself, or `functools.partial`
of it with literal arguments: loading turns it into its name."""


def outside_identity[T](default: T) -> T:
    """A field that cannot change a result (a path, logging, the device layout) and so stays out of the hash."""
    return field(default=default, metadata={"identity": False})


@dataclass(frozen=True)
class ModelConfig:
    """Which network, and in which arithmetic."""

    name: Part = field(default="lenet5", metadata={"arguments": "options"})
    """A name that `cnn-jax models` lists; or a Flax module of one's own, as FILE.py:NAME."""
    num_classes: int | None = None
    """Outputs of the classifier; None takes the data set's."""
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    """Of the computation; parameters and logits stay float32 (float64 with float64)."""
    conv: Literal["auto", "xla"] = "auto"
    """auto takes the fastest formulation on a CPU; xla is the stock convolution everywhere."""
    precision: Literal["default", "high", "highest"] = "default"
    """Of float32 products: default is TF32 on GPUs from Ampere on and bfloat16 on TPUs, highest is float32; on CPUs all
    are float32."""
    ghost_batch: int | None = None
    """BatchNorm takes statistics of so many consecutive examples at a time; None: of the whole batch."""
    frozen_norm: bool = False
    """BatchNorm uses its running averages in training too, and leaves them alone."""
    unbiased_variance: bool = False
    """BatchNorm's running variance is divided by n - 1, as PyTorch's, and not by n."""
    remat: bool = outside_identity(False)
    """Compute each block's activations again in the backward pass: less memory, about a third more work."""
    weights: str | None = outside_identity(None)
    """Start from this file, as `weights import` takes it or `weights export` writes it; or from a run, as RUN,
    RUN@best or RUN@STEP. None starts from the seed."""
    weights_sha256: str | None = outside_identity(None)
    """Checksum of a file: `train` works it out, and refuses another if it is given. What counts is what it holds."""
    new_head: bool = False
    """With weights: draw the classifier afresh, for other classes than theirs."""
    # The command line makes flags of what the network takes; equal mappings need not be hashed to be told apart.
    options: Annotated[Mapping[str, Any], tyro.conf.Suppress] = field(default_factory=dict, hash=False)
    """Departures from the published network, or arguments of one's own: by name, as {"width": 0.5}."""


@dataclass(frozen=True)
class DataConfig:
    """Which images, in which batches, changed how."""

    name: Part = "digits"
    """A name that `cnn-jax data list` shows; tfds:NAME/CONFIG, a set that TFDS prepared; or one's own function, as
    FILE.py:NAME, that returns `cnn_jax.Images` for a split."""
    batch_size: int = 128
    """Examples a step, over all devices and processes together."""
    folder: str | None = outside_identity(None)
    """name=folder: your own images, as DIR/train/CLASS/IMAGE (and test, validation), or DIR/CLASS/IMAGE."""
    on_error: Literal["fail", "skip"] = "fail"
    """What an image file that cannot be decoded does: end the preparation, or be left out, counted and listed."""
    root: str | None = outside_identity(None)
    """Where prepared sets lie; None takes $CNN_JAX_DATA, else the user's cache folder."""
    validation_fraction: float | None = None
    """Of the training split, where a set has no validation split of its own; None is a tenth, 0 trains on all."""
    examples_per_class: int | None = None
    """Train on that many of each class, chosen by the seed; None takes all."""
    class_fractions: tuple[float, ...] = ()
    """Train on this part of each class, in label order, 0 to 1; empty takes all."""
    label_noise: float = 0.0
    """The part of the training examples whose label becomes another one, 0 to 1."""
    augment: tuple[Part, ...] = ()
    """Applied in order to training images, e.g. "pad_crop(4)" "horizontal_flip()", or functions of one's own; with
    image files the first must be "random_resized_crop(224)" or another that brings them to one size."""
    mix: tuple[Part, ...] = ()
    """Mixes the training batch with itself, one of them by chance in each step, e.g. "mixup(0.2)" "cutmix(1.0)"."""
    eval_augment: tuple[Part, ...] = ()
    """Applied in order to validation and test images: deterministic operations only, e.g. "resize(32)"; with image
    files "resize_shorter(256)" "center_crop(224)"."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """How resize, resize_shorter and random_resized_crop scale; image files by Pillow, as torchvision and timm scale,
    but random crops bilinearly by OpenCV, which is quicker. Imported weights bring their own."""
    mean: tuple[float, ...] = ()
    """Subtracted from each channel of images in 0..1; empty takes the data set's. Imported weights bring their own."""
    std: tuple[float, ...] = ()
    """What each channel is divided by then; empty takes the data set's."""
    eval_views: str | None = None
    """Average the probabilities over several views of each image at evaluation: "flip()" or "ten_crop(224)"."""


@dataclass(frozen=True)
class OptimConfig:
    """How the parameters move."""

    name: Part = field(default="sgd", metadata={"arguments": "arguments"})
    """sgd, adamw, lamb; any of Optax's as optax:lion or optax.contrib:muon; or one's own, as FILE.py:NAME."""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Of the optimiser: momentum and nesterov of sgd, b1 and b2 of adamw, …; numbers, texts, tuples."""
    learning_rate: float = 0.1
    """At batch 256, for other batches scaled."""
    lr_scaling: Literal["linear", "sqrt", "none"] = "linear"
    """How the rate follows the batch: in proportion (Goyal et al. 2017, section 2.1), as its square root (Krizhevsky
    2014, section 5), or not."""
    weight_decay: float = 1e-4
    """sgd adds it to the gradient; adamw and lamb decouple it."""
    decay: str = "kernels"
    """What decays: kernels, not biases or normalisation (He et al. 2018, section 3.1); all; or a regular expression for
    the beginning of parameters' names, e.g. "head|stage3"."""
    schedule: Part = "cosine"
    """cosine, constant or step, e.g. "step(fractions=(0.5, 0.75), factor=0.1)"; any of Optax's, as
    optax:exponential_decay(decay_rate=0.9); or one's own function of `fraction`, of the run, or of `step`."""
    warmup_fraction: float = 0.0
    """The part of the run in which the rate rises linearly from zero, 0 to 1."""
    gradient: Part = "plain"
    """Where the gradient is taken: plain, at the parameters; sam, uphill from them (Foret et al. 2021), e.g.
    "sam(rho=0.05)"; or one's own."""
    rate_factors: tuple[str, ...] = ()
    """Other rates for some parameters: a factor for each regular expression for the beginning of their names, e.g.
    "head=10" "stem|stage1=0.1"; the first that fits counts."""
    clip_norm: float | None = None
    """The largest global norm of the gradient; None does not clip."""
    label_smoothing: float = 0.0
    """The part of the target spread evenly over all classes (Szegedy et al. 2016, section 7)."""
    ema_decay: float | None = None
    """Evaluate an exponential moving average of the parameters and BatchNorm's statistics with this decay; in the first
    steps, t of them made, with (1 + t) / (10 + t) if that is less. None evaluates the last ones."""
    freeze: str | None = None
    """Parameters that stay as they start: a regular expression for the beginning of their names, e.g. "stem|stage1", or
    "(?!head)" for all but the classifier; stages are those that `cnn_jax.features` names, in every network. A frozen
    BatchNorm keeps its running averages; None trains everything."""
    unfreeze: tuple[str, ...] = ()
    """What of them moves from some part of the run on: PATTERN=FRACTION, e.g. "stage3=0.2" "stage2=0.4"."""


@dataclass(frozen=True)
class TrainConfig:
    """How long, and how often to look."""

    epochs: float | None = None
    """None is 10, where steps are not given either."""
    steps: int | None = None
    """When given, replaces epochs."""
    loss: Part = "softmax_cross_entropy"
    """softmax_cross_entropy, sigmoid_cross_entropy, or one's own of logits and targets, one number a row."""
    metrics: tuple[Part, ...] = ()
    """What evaluation measures besides: functions of logits and labels, one number an example, e.g. "e.py:brier"."""
    test: Literal["end", "never"] = outside_identity("end")
    """When the test split is looked at: once, after the last step, or not at all."""
    log_every: int | None = outside_identity(None)
    """Steps between training metrics; None is a hundred times a run."""
    eval_every: int | None = outside_identity(None)
    """Steps between evaluations on the validation split; None is an epoch, but at least 100 steps."""
    checkpoint_every: int | None = outside_identity(None)
    """Steps between checkpoints; None is an epoch, but at least 100 steps."""
    keep_checkpoints: int = outside_identity(2)
    """The newest checkpoints kept, beside the best one."""
    steps_per_call: int | None = outside_identity(None)
    """The most steps that one call to a GPU or TPU makes, of a data set that fits there (arrays, below 1 GiB); None is
    50. No number changes a result. On a CPU each step is a call."""
    deterministic: bool = outside_identity(False)
    """On a GPU, take only kernels that give equal bits every time, chosen without a clock: perhaps slower. Without
    effect elsewhere: a CPU's bits are equal anyway, and of TPUs nothing else is known."""


@dataclass(frozen=True)
class ParallelConfig:
    """Over which devices and processes; `accumulate` alone can change what is computed."""

    strategy: Literal["jit", "pmap", "fsdp"] = outside_identity("jit")
    """jit: data parallelism, the compiler sees the whole batch; pmap: the same, one program a device; fsdp: parameters
    and optimiser state sharded as well."""
    accumulate: int = 1
    """Micro-batches a step, one after another, to save memory; BatchNorm normalises each by itself."""
    batch_norm: Literal["global", "per_device"] = outside_identity("global")
    """Statistics over the global batch, or over each device's rows: per_device becomes `model.ghost_batch`."""
    distributed: bool = outside_identity(False)
    """One of several processes; the three below are found in the environment of Slurm, Open MPI, Kubernetes or TPUs."""
    coordinator: str | None = outside_identity(None)
    """HOST:PORT of process 0."""
    num_processes: int | None = outside_identity(None)
    process_id: int | None = outside_identity(None)
    """From 0."""


Source = Literal["init", "order", "augment", "dropout"]


@dataclass(frozen=True)
class SeedsConfig:
    """Seeds of single sources of variance, to vary one and hold the others (Bouthillier et al. 2021)."""

    init: int | None = None
    """Of the parameters; None is `seed`, as in the next three."""
    order: int | None = None
    """Of the order of the training examples."""
    augment: int | None = None
    """Of augmentation and mixing."""
    dropout: int | None = None
    split: int | None = None
    """Of which examples are held out or kept, and of label noise; None holds out alike for every `seed`, which decides
    the others."""


@dataclass(frozen=True)
class Config:
    """One experiment, complete: everything that can change its result stands here."""

    seed: int = 0
    """Of initialisation, data order, augmentation and dropout, where `seeds` gives them none of their own."""
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    parallel: ParallelConfig = ParallelConfig()
    seeds: SeedsConfig = SeedsConfig()
    name: str | None = outside_identity(None)
    """What the run's folder is called before its identity; None is the experiment file's name."""
    code: Annotated[OwnCode | None, tyro.conf.Suppress] = field(default=None, compare=False, repr=False)
    """What is known of the experiment file's own code, filled in by `load_experiment`: no key, it has no flag."""

    def seed_of(self, source: Source) -> int:
        """The seed that a source of variance is drawn from."""
        own: int | None = getattr(self.seeds, source)
        return self.seed if own is None else own
