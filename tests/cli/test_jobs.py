"""Trainings elsewhere: what launch and submit refuse, and the command that they hand on."""

import json

import pytest

import cnn_jax.parallel
from cnn_jax.cli import main
from cnn_jax.parallel import JobSize


@pytest.fixture
def launched(monkeypatch):
    """The commands that were started as processes, each with how."""
    seen = []
    monkeypatch.setattr(cnn_jax.parallel, "launch", lambda command, **how: seen.append((command, how)) or 0)
    return seen


@pytest.fixture
def sent(monkeypatch, tmp_path):
    """The words and sizes of the jobs that were sent."""
    seen = []

    class Job:
        job_id = "7"

        class paths:
            stdout = tmp_path / "out"

    monkeypatch.setattr(cnn_jax.parallel, "submit", lambda words, size, folder: seen.append((words, size)) or Job)
    return seen


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("launch --processes 0 train {}", "`--processes` is 0"),
        ("launch --processes 99999 train {}", "`--processes` is 99999"),
        ("launch --restarts -1 train {}", "`--restarts` is -1"),
        ("launch train --parallel.process_id 1 {}", "`--parallel.process-id` is set by launch"),
        ("launch train {} --parallel.coordinator=a:1", "`--parallel.coordinator` is set by launch"),
        ("launch --processes 2", "cnn-jax launch --processes 2 train"),
        ("submit --nodes 0 train {}", "`--nodes` is 0"),
        ("submit --minutes -5 train {}", "`--minutes` is -5"),
        ("submit --gpus-per-node 8 --processes-per-node 3 train {}", "is 8 and `--processes-per-node` 3: each process"),
        ("submit --gpus-per-node 1 --processes-per-node 2 train {}", "is 1 and `--processes-per-node` 2: each process"),
        ("submit train {} --parallel.distributed", "`--parallel.distributed` is set by submit"),
        ("submit train {} --optim.lerning-rate 1", "optim.learning-rate"),
        ("submit train nowhere.py", "There is no experiment file `nowhere.py`"),
        ("submit --nodes 2", "cnn-jax submit --nodes 2 train"),
    ],
)
def test_what_cannot_be_meant_is_refused(launched, sent, experiment, capsys, words, message):
    assert main(words.format(experiment).split()) == 2
    assert message in capsys.readouterr().err
    assert not launched and not sent


def test_launch_passes_a_command_with_flags_before_its_file_on(launched, experiment):
    assert main(["launch", "--processes", "3", "train", "--seed", "1", str(experiment)]) == 0
    ((command, how),) = launched
    assert command[-4:] == ["train", "--seed", "1", str(experiment)]
    assert how == {"processes": 3, "restarts": 0}


def test_submit_sends_a_command_and_says_where_its_output_will_be(sent, experiment, capsys):
    words = ["submit", "--nodes", "2", "--minutes=9", "--json", "train", "--seed", "3", str(experiment), "--json"]
    assert main(words) == 0
    assert sent == [(["--seed", "3", str(experiment), "--json"], JobSize(nodes=2, minutes=9))]
    job = json.loads(capsys.readouterr().out)
    assert job["job"] == "7" and job["output"].endswith("out")


@pytest.mark.parametrize("command", ["--debug launch", "launch --debug"])
def test_the_processes_of_a_launch_take_its_options(launched, experiment, command):
    assert main([*command.split(), "train", str(experiment)]) == 0
    assert launched[0][0][-3:] == ["train", str(experiment), "--debug"]
