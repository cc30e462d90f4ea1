"""Every optimiser of Optax trains, and goes on from a checkpoint with the same bits: a new one needs a row."""

import inspect
import itertools

import jax
import numpy as np
import optax
import optax.contrib
import pytest

from cnn_jax.config import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
from cnn_jax.data import train_batches
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.session import open_session

# Learning rates at which twenty steps of LeNet-5 on the digits lower the loss, and arguments. Untuned.
ROWS: dict[str, tuple] = {
    "sgd": (0.05,),
    "adamw": (1e-3,),
    "lamb": (1e-2,),
    "optax:adabelief": (1e-3,),
    "optax:adadelta": (10.0,),
    "optax:adafactor": (1e-2,),
    "optax:adagrad": (0.01,),
    "optax:adam": (1e-3,),
    "optax:adamax": (2e-3,),
    "optax:adamaxw": (2e-3,),
    "optax:adan": (1e-3,),
    "optax:amsgrad": (1e-3,),
    "optax:fromage": (0.01,),
    "optax:lars": (10.0,),
    "optax:lbfgs": (1.0,),
    "optax:lion": (3e-4,),
    "optax:nadam": (1e-3,),
    "optax:nadamw": (1e-3,),
    "optax:noisy_sgd": (0.05, {"eta": 1e-4}),
    "optax:novograd": (1e-2,),
    "optax:optimistic_adam": (1e-3,),
    "optax:optimistic_adam_v2": (1e-3,),
    "optax:optimistic_gradient_descent": (0.05,),
    "optax:polyak_sgd": (0.1,),
    "optax:radam": (1e-2,),
    "optax:rmsprop": (1e-3,),
    "optax:rprop": (1e-4,),
    "optax:sgd": (0.05, {"momentum": 0.9}),
    "optax:sign_sgd": (1e-3,),
    "optax:signum": (1e-3,),
    "optax:sm3": (0.05,),
    "optax:yogi": (1e-2,),
    "optax.contrib:acprop": (1e-3,),
    "optax.contrib:ademamix": (1e-3,),
    "optax.contrib:adopt": (1e-3,),
    "optax.contrib:cocob": (1.0,),
    "optax.contrib:dadapt_adamw": (1.0,),
    "optax.contrib:dog": (1.0,),
    "optax.contrib:dowg": (1.0,),
    "optax.contrib:galore": (1e-3, {"rank": 4}),
    "optax.contrib:madgrad": (1e-2,),
    "optax.contrib:momo": (0.1,),
    "optax.contrib:momo_adam": (1e-2,),
    "optax.contrib:muon": (1e-2,),
    "optax.contrib:prodigy": (1.0,),
    "optax.contrib:schedule_free_adamw": (1e-2,),
    "optax.contrib:schedule_free_sgd": (0.5,),
    "optax.contrib:simplified_ademamix": (1e-4,),
    "optax.contrib:sophia": (1e-3,),
}
# It asks for another evaluation, beside what all ask for.
FEW = {"optax.contrib:schedule_free_adamw"}
# Per-example gradients; an optimiser as an argument.
NOT_FOR_NETWORKS = {"optax.contrib:dpsgd", "optax.contrib:schedule_free"}
# These programs run for a moment: the compiler's work is what the test would wait for.
QUICK = {"xla_backend_optimization_level": 0}


def session_of(name, rate, arguments=None):
    data = DataConfig("digits", batch_size=32, augment=("resize(28)",), eval_augment=("resize(28)",))
    optim = OptimConfig(name, arguments or {}, learning_rate=rate * 256 / 32, schedule="constant")
    config = Config(model=ModelConfig("lenet5", conv="xla"), data=data, optim=optim, train=TrainConfig(steps=20))
    session = open_session(resolve_parts(config))
    session.layout.compile = lambda step, *arrays, donate=False: session.layout.lower(
        step, *arrays, donate=donate
    ).compile(compiler_options=QUICK)
    return session


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in FEW else pytest.mark.slow) for n in ROWS])
def test_an_optimiser_lowers_the_loss_and_resumes_to_the_same_bits(name, tmp_path):
    session = session_of(name, *ROWS[name])
    step, state = session.compile_train_step(), session.drawn_state()
    batches = [session.layout.put(b) for b in itertools.islice(train_batches(session.training_data(), 32, seed=0), 20)]

    def after(state, some):
        for batch in some:
            carry, _ = step(session.carry(state), batch)
            state = carry["state"]
        return state, float(carry["window"].compute()["loss"])

    state, first = after(state, batches[:1])
    state, _ = after(state, batches[1:10])
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(10, session.carry(state))
    checkpoints.wait()
    ends = []
    for begun in (state, checkpoints.restore(10, session.abstract_checkpoint())["state"]):
        state, _ = after(begun, batches[10:])
        ends.append(jax.device_get(state))
        state, last = after(state, batches[:1])
        assert last < first, (first, last)
    checkpoints.close()
    jax.tree.map(np.testing.assert_array_equal, *ends)


def constructors():
    for module in (optax, optax.contrib):
        for name, function in vars(module).items():
            if inspect.isfunction(function) and not name.startswith(("_", "scale_by")):
                signature = inspect.signature(function)
                makes = "GradientTransformation" in str(signature.return_annotation)
                if makes and signature.parameters.keys() & {"learning_rate", "max_learning_rate"}:
                    yield f"{module.__name__}:{name}"


def test_every_optimiser_of_optax_has_its_row():
    ours = {"optax:adamw", "optax:lamb"}
    assert set(constructors()) - ROWS.keys() <= NOT_FOR_NETWORKS | ours
