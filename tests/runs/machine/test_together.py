"""What one process of several cannot do ends all of them, with a sentence."""

import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from cnn_jax.config import ConfigError
from cnn_jax.parallel import known_to_all
from cnn_jax.runs.folder.damage import DamagedError, UnreadableError
from cnn_jax.runs.folder.metrics_file import RunError
from cnn_jax.runs.machine.together import by_process_0, check_alike, together


@pytest.fixture
def process(monkeypatch):
    """`process(number, heard)`: this one is that of two, and what it says is heard; the other's words are `heard`."""
    said = []

    def become(number, heard=None):
        text = np.frombuffer(json.dumps(heard, default=int).encode(), np.uint8)
        words = iter([np.int32(text.size), text])

        def broadcast(value):
            said.append(value)
            return value if number == 0 else next(words)

        monkeypatch.setattr(jax, "process_count", lambda: 2)
        monkeypatch.setattr(jax, "process_index", lambda: number)
        monkeypatch.setattr(multihost_utils, "broadcast_one_to_all", broadcast)
        monkeypatch.setattr(multihost_utils, "process_allgather", lambda mine: said.append(int(mine)) or [mine, heard])
        return said

    return become


@pytest.mark.parametrize("value", [None, True, {"top1": 0.1, "per_class": {"é": None}}, ["a" * 999]])
def test_a_value_of_process_0_is_everyones(process, value):
    said = process(0)
    assert known_to_all(value) == value
    assert json.loads(said[1].tobytes()) == value and said[0] == said[1].size
    process(1, value)
    assert known_to_all("another") == value


def test_process_0_says_why_it_refuses_before_it_does(process):
    said = process(0)
    with pytest.raises(RunError, match=r"^taken$"):
        by_process_0(lambda: (_ for _ in ()).throw(RunError("taken")))
    assert json.loads(said[1].tobytes()) == [False, "taken"]


@pytest.mark.parametrize(("mistaken", "kind"), [(True, ConfigError), (False, RunError)])
def test_the_others_refuse_with_its_words_and_do_nothing(process, mistaken, kind):
    process(1, [mistaken, "why and what to do"])
    with pytest.raises(kind, match="process 0 ended the run: why and what to do"):
        by_process_0(lambda: pytest.fail("only process 0 acts"))
    process(1, None)
    assert by_process_0(lambda: pytest.fail("only process 0 acts")) is None


@pytest.mark.parametrize("error", [MemoryError(), ValueError("zip() argument 2 is shorter"), DamagedError("bits")])
def test_the_others_hear_of_every_error_while_reading(process, error):
    said = process(0, heard=np.int32(0))
    with pytest.raises(type(error), match=f"^{re.escape(str(error))}$") as raised:
        together(Path("checkpoints/3"), lambda: (_ for _ in ()).throw(error))
    assert raised.value is error and said == [1 if isinstance(error, DamagedError) else 2]


def test_who_could_read_does_not_go_on_alone(process):
    process(0, heard=np.int32(2))
    with pytest.raises(UnreadableError, match="another process of the run cannot use checkpoint 3 in checkpoints"):
        together(Path("checkpoints/3"), lambda: "a tree")


@pytest.mark.parametrize(
    ("number", "mine", "theirs", "alike"), [(1, "b", 0, False), (1, "a", 0, True), (0, "a", 1, False)]
)
def test_processes_that_hold_other_experiments_end_together(process, monkeypatch, number, mine, theirs, alike):
    process(number, "a")
    monkeypatch.setattr(multihost_utils, "process_allgather", lambda differs: [differs, theirs])
    if alike:
        check_alike(mine)
    else:
        with pytest.raises(ConfigError, match=f"do not hold one experiment \\(here it is {mine}\\)"):
            check_alike(mine)
