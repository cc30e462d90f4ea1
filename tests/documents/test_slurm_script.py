"""The script for Slurm: a training that gets SIGUSR1 saves, its job is queued again, and the next turn finishes it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from documents import ROOT, blocks

# What Slurm tells a step's only task; the task gets its signals, and the script does not.
SRUN = """#!/bin/bash
export SLURM_STEP_NODELIST=localhost SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_STEP_NUM_NODES=1
export SLURM_STEP_TASKS_PER_NODE=1 SLURM_GPUS_ON_NODE=0
exec "$@"
"""
TRAIN = f"""#!/bin/bash
echo $$ > task
exec {sys.executable} -m cnn_jax "$@" --train.steps=400 --train.checkpoint-every=400 --train.eval-every=400
"""
SCONTROL = """#!/bin/bash
echo "$@" >> asked
"""


@pytest.fixture
def job(tmp_path, experiment):
    """Starts the script as Slurm would, in a folder where it finds this environment and these commands."""
    (script,) = (block for block in blocks(ROOT / "experiments" / "README.md", "bash") if "#SBATCH" in block)
    script = script.replace("experiments/imagenet_resnet50_v2.py", str(experiment))
    (tmp_path / "script").write_text(script)
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    (commands / "activate").write_text(f'PATH="{commands}:$PATH"\n')
    for name, text in {"srun": SRUN, "cnn-jax": TRAIN, "scontrol": SCONTROL}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true", "SLURM_JOB_ID": "7"}

    def start():
        return subprocess.Popen(
            ["bash", "script"], cwd=tmp_path, env=os.environ | quick, stderr=subprocess.PIPE, text=True
        )

    return start


@pytest.mark.slow
def test_a_job_that_is_warned_saves_is_queued_again_and_goes_on(job, tmp_path):
    first, log = job(), tmp_path / "runs" / "imagenet" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not log.exists() or not log.read_text():
        assert first.poll() is None and time.monotonic() < deadline, first.communicate()[1]
        time.sleep(0.02)
    os.kill(int((tmp_path / "task").read_text()), signal.SIGUSR1)
    err = first.communicate(timeout=60)[1]
    assert first.returncode == 128 + signal.SIGUSR1, err
    assert "stopped by SIGUSR1; saved at step " in err
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    again = job()
    err = again.communicate(timeout=120)[1]
    assert again.returncode == 0, err
    assert "continuing from the checkpoint at step " in err
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "train"] == list(range(5, 401, 5))
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
