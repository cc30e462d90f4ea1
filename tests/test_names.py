"""Names become functions, and functions names; what they ask for is given to them."""

from functools import partial

import numpy as np
import optax
import optax.contrib
import pytest

from cnn_jax.names import canonical, find, join, literal, reference, split
from cnn_jax.signatures import bind, call
from cnn_jax.training.losses import sigmoid_cross_entropy


def own(peak, base=2.0, *, flag=False):
    return peak, base, flag


def test_a_name_and_its_arguments_are_taken_apart_and_put_together():
    for text in ("sgd", ":own", "a/mine.py:own(base=3, names=('a', 'b'))", "optax:x(table={1: 0.5})"):
        name, arguments = split(text)
        assert split(join(name, arguments)) == (name, arguments)
    assert split(" mine.py:own( base=[1, 2] ) ") == ("mine.py:own", {"base": (1, 2)})


@pytest.mark.parametrize("text", ["", "own(3)", "own(base=x)", "own(base=3", "own(**{})", "own(base=3)(flag=1)"])
def test_what_is_no_name_with_named_literals_is_refused(text):
    with pytest.raises(ValueError, match="is no name of a part"):
        split(text)


def test_literals_are_plain_values():
    found = literal([np.float64(0.5), np.float32(0.5).item(), True, {"a": [1]}, None])
    assert found == (0.5, 0.5, True, {"a": (1,)}, None)
    assert type(found[0]) is float
    for value in (float("nan"), float("inf"), object(), optax.sgd, {1, 2}):
        with pytest.raises(TypeError, match="is no literal"):
            literal(value)


@pytest.mark.parametrize(
    ("part", "name", "arguments"),
    [
        (optax.lion, "optax:lion", {}),
        (optax.contrib.muon, "optax.contrib:muon", {}),
        (optax.cosine_decay_schedule, "optax:cosine_decay_schedule", {}),
        (partial(optax.lion, b1=0.95), "optax:lion", {"b1": 0.95}),
        (partial(partial(optax.adam, b1=0.8, b2=0.9), b1=0.7), "optax:adam", {"b1": 0.7, "b2": 0.9}),
        (sigmoid_cross_entropy, "sigmoid_cross_entropy", {}),
        (own, f"{__name__}:own", {}),
    ],
    ids=["private_module", "contrib", "schedule", "partial", "partial_of_partial", "ours", "own"],
)
def test_a_function_is_called_by_its_public_name_and_found_by_it(part, name, arguments):
    assert reference(part) == (name, arguments)
    while isinstance(part, partial):
        part = part.func
    assert find(name, {"sigmoid_cross_entropy": sigmoid_cross_entropy}, "part") is part


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (lambda x: x, "a lambda, and so has no name of its own; write it at the top"),
        ((lambda: [f := lambda: 0, f][1])(), "has no name of its own"),
        (partial(own, 3.0), "bind them by name"),
        (partial(own, base=np.sin), "write a function at the top of the experiment file that calls `own` with it"),
        (optax.GradientTransformation(None, None), "has no name; write a function"),
        (optax.adam(0.1).update, "has no name of its own"),
    ],
    ids=["lambda", "closure", "positional", "no_literal", "object", "result"],
)
def test_what_no_name_stands_for_is_refused_with_the_remedy(part, message):
    with pytest.raises(TypeError, match=message):
        reference(part)


def test_a_file_has_one_name():
    assert canonical("mine.py:own") == canonical("mine:own") == "mine:own"
    assert canonical("e.py:own", "e.py") == canonical(":own", "e.py") == ":own"
    assert canonical("folder/e.py:own", "e.py") == "folder.e:own"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sdg", r"there is no optimiser 'sdg'. Did you mean `sgd`\? One of a package or of your own is written"),
        ("optax:loin", r"optax has no function 'loin'. Did you mean `lion`\?"),
        ("no_such_package:f", "`no_such_package` cannot be imported: No module named"),
        ("optax:__name__", "has no function"),
        (":own", "is a function of an experiment file, and here is none: train from that file"),
    ],
)
def test_a_name_without_a_function_offers_the_nearest(name, message):
    with pytest.raises(ValueError, match=message):
        find(name, {"sgd": optax.sgd, "adamw": optax.adamw}, "optimiser")


def test_a_part_is_given_what_it_asks_for_and_no_more():
    assert call(own, {"flag": True}, "own", peak=0.1, steps=7) == (0.1, 2.0, True)
    assert bind(own, {"base": 3}, "own", "peak")(5) == (5, 3, False)
    assert call(partial(own, base=4.0), {}, "own", peak=1) == (1, 4.0, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bsae": 3}, r"own takes no `bsae`. Did you mean `base`\?"),
        ({"peak": 3}, "own is given its `peak` by the trainer"),
        ({"flag": 1}, "`flag` of own is 1: give a value as its False is"),
        ({"base": "3"}, "`base` of own is '3': give a value as its 2.0 is"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        call(own, arguments, "own", peak=0.1)


def test_what_a_part_needs_and_nobody_gives_is_named():
    with pytest.raises(ValueError, match="own needs `peak`: give it as an argument, or, if it is no literal, write"):
        call(own, {}, "own")
