"""Flags of a job where there is none, and of processes that launch starts itself."""

import pytest

import cnn_jax.parallel
from cnn_jax.cli import main


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--job.nodes 2", "`--job.nodes` has no effect without a job"),
        ("--job.partition big", "`--job.partition` has no effect without a job"),
        ("--executor slurm --job.nodes 0", "`--job.nodes` is 0"),
        ("--executor slurm --job.minutes -5", "`--job.minutes` is -5"),
        ("--executor local --job.nodes 2", "`--job.nodes` has no effect with `--executor local`"),
        ("--executor local --job.gpus-per-node 1", "`--job.gpus-per-node` has no effect with `--executor local`"),
    ],
)
def test_flags_without_a_job_are_refused(experiment, capsys, flags, message):
    assert main(["train", str(experiment), *flags.split()]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--processes 0 train {}", "`--processes` is 0"),
        ("--processes 99999 train {}", "`--processes` is 99999"),
        ("--restarts -1 train {}", "`--restarts` is -1"),
        ("train {} --executor slurm", "`--executor` sends a training elsewhere"),
        ("train {} --job.nodes=2", "`--job.nodes` sends a training elsewhere"),
        ("train --parallel.process_id 1 {}", "`--parallel.process-id` is set by launch"),
        ("train {} --parallel.coordinator=a:1", "`--parallel.coordinator` is set by launch"),
    ],
)
def test_launch_refuses_what_it_sets_itself(experiment, capsys, words, message):
    assert main(["launch", *words.format(experiment).split()]) == 2
    assert message in capsys.readouterr().err


def test_launch_passes_a_command_with_flags_before_its_file_on(experiment, monkeypatch):
    seen = []
    monkeypatch.setattr(cnn_jax.parallel, "launch", lambda command, **how: seen.append((command, how)) or 0)
    assert main(["launch", "--processes", "3", "train", "--seed", "1", str(experiment)]) == 0
    ((command, how),) = seen
    assert command[-4:] == ["train", "--seed", "1", str(experiment)]
    assert how == {"processes": 3, "restarts": 0}
