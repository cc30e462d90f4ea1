"""Metrics against loops in NumPy; padding and the split into batches must not matter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.training.losses import softmax_cross_entropy
from cnn_jax.training.metrics import MoreEvalMetrics, brier_score, in_top_k


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 7)) * 3
    labels = np.where(rng.random(50) < 0.6, logits.argmax(1), rng.integers(0, 7, 50))
    return logits.astype(np.float32), labels.astype(np.int32)


def metrics_of(logits, labels, mask):
    return MoreEvalMetrics.single_from_model_output(
        loss=softmax_cross_entropy(logits, labels, 0.1),
        nll=softmax_cross_entropy(logits, labels),
        brier=brier_score(logits, labels),
        top1=in_top_k(logits, labels, 1),
        top5=in_top_k(logits, labels, 5),
        logits=logits,
        label=labels,
        own={"half": softmax_cross_entropy(logits, labels) / 2},
        mask=mask,
    )


def reference(logits, labels):
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(1, keepdims=True)
    nll, loss, brier, top1, top5 = [], [], [], [], []
    bins, per_class = [[] for _ in range(15)], [[] for _ in range(7)]
    for row, label in zip(p, labels, strict=True):
        nll.append(-np.log(row[label]))
        loss.append(0.9 * nll[-1] + 0.1 * np.mean(-np.log(row)))
        brier.append(sum((q - (k == label)) ** 2 for k, q in enumerate(row)))
        order = list(np.argsort(-row))
        top1.append(order[0] == label)
        top5.append(label in order[:5])
        confidence = row.max()
        bins[min(14, int(np.ceil(confidence * 15)) - 1)].append((confidence, top1[-1]))
        per_class[label].append(top1[-1])
    ece = sum(abs(sum(c - t for c, t in b)) for b in bins) / len(labels)
    return {
        "loss": np.mean(loss), "nll": np.mean(nll), "top1": np.mean(top1), "top5": np.mean(top5), "ece": ece,
        "brier": np.mean(brier),
        "per_class": [np.mean(c) if c else np.nan for c in per_class], "half": np.mean(nll) / 2,
    }  # fmt: skip


@pytest.mark.parametrize("batch", [7, *(pytest.param(n, marks=pytest.mark.slow) for n in (50, 1))])
def test_metrics_equal_the_loops_for_every_split_into_batches(sample, batch):
    (logits, labels), jitted = sample, jax.jit(metrics_of)
    total = None
    for start in range(0, 50, batch):
        rows = np.minimum(np.arange(start, start + batch), 49)
        part = jitted(jnp.asarray(logits[rows]), jnp.asarray(labels[rows]), jnp.arange(start, start + batch) < 50)
        total = part if total is None else total.merge(part)
    expected = reference(logits, labels)
    found = total.compute()
    for name, value in (found | found.pop("own")).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)  # float32 sums
    assert int(total.top1.count) == 50


def test_ties_and_nan_count_against_the_network():
    labels = jnp.array([0, 0, 1])
    logits = jnp.array([[1.0, 1.0, 1.0], [jnp.nan, 0.0, 0.0], [jnp.nan, 5.0, 0.0]])
    assert in_top_k(logits, labels, 1).tolist() == [0, 0, 0]
    assert in_top_k(logits[:1], labels[:1], 3).tolist() == [1]


def test_top_5_of_three_classes_is_always_right():
    assert in_top_k(jnp.array([[0.0, 1.0, 2.0]]), jnp.array([0]), 5).tolist() == [1]


@pytest.mark.slow  # as batch by batch, above
def test_metrics_without_jit_are_those_under_jit(sample):
    logits, labels = sample
    mask = jnp.ones(50, bool)
    plain, compiled = (f(logits, labels, mask).compute() for f in (metrics_of, jax.jit(metrics_of)))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), plain, compiled)


def test_no_sum_is_a_matrix_product_which_gpus_round(sample):
    # TF32 keeps 10 bits of the factors: accuracies of 1 in 3 and confidences would come out rounded.
    logits, labels = sample
    program = str(jax.make_jaxpr(metrics_of)(logits, labels, jnp.ones(50, bool)))
    assert "dot_general" not in program
