"""A training as a cluster's job: submitit's local executor runs it here, in the same way that Slurm would."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from cnn_jax.parallel import JobSize, submission
from cnn_jax.parallel.submission import Training

# Says when it is ready, and what it got.
CHILD = """
import pathlib, signal, sys, time
def stop(number, frame):
    pathlib.Path("got").write_text(str(number))
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
pathlib.Path("ready").touch()
time.sleep(60)
"""


def test_a_job_runs_the_command_and_fails_with_it(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    job = submission.submit(["absent.py"], JobSize(minutes=5), tmp_path / "jobs", "local")
    with pytest.raises(Exception, match="status 2"):
        job.result()
    assert "absent.py" in job.stderr()


@pytest.mark.slow
def test_a_job_trains(experiment, tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    words = [str(experiment), "--workdir", "run", "--train.steps=4", "--json"]
    job = submission.submit(words, JobSize(minutes=5), tmp_path / "jobs", "local")
    assert job.result() == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["split"] == "test"
    assert '"step": 4' in job.stdout()


def test_job_that_is_to_end_saves_and_asks_for_another(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    training = Training([sys.executable, "-c", CHILD])
    asked = []

    def ask(number, frame):  # as submitit does, in a signal's handler
        asked.append(training.checkpoint())

    before = signal.signal(signal.SIGUSR2, ask)
    main_thread = threading.main_thread().ident

    def interrupt():
        while not (tmp_path / "ready").exists():
            pass
        os.kill(training._process.pid, signal.SIGUSR2)  # as where Slurm signals all processes of a task
        signal.pthread_kill(main_thread, signal.SIGUSR2)

    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(RuntimeError, match="status 143"):
            training()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert (tmp_path / "got").read_text() == str(int(signal.SIGTERM))
    assert isinstance(asked[0].function, Training)


# A cluster of one node: a job waits in a file, is told what Slurm tells its only task, and may be asked for again.
SBATCH = """#!/bin/bash
cp "$1" job && echo Submitted batch job 7
"""
SRUN = """#!/bin/bash
export SLURM_JOB_ID=7 SLURM_JOB_NUM_NODES=1 SLURM_NTASKS=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0
while [[ $1 == --* ]]; do [[ $1 == --output || $1 == --error ]] && shift; shift; done
echo $$ > task
exec "$@"
"""
SCONTROL = """#!/bin/bash
echo "$@" >> asked
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A folder in which these commands are Slurm's."""
    pytest.importorskip("submitit")
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "scontrol": SCONTROL}.items():
        (tmp_path / "bin" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_job_asks_slurm_for_what_its_processes_take(cluster):
    size = JobSize(nodes=2, processes_per_node=8, gpus_per_node=8, cpus_per_process=4, minutes=90, partition="gpu")
    assert submission.submit(["e.py"], size, cluster / "jobs").job_id == "7"
    text = (cluster / "job").read_text()
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", text, re.MULTILINE))
    wanted = {"nodes": "2", "ntasks-per-node": "8", "gpus-per-node": "8", "cpus-per-task": "4", "time": "90"}
    assert asked.items() >= (wanted | {"partition": "gpu", "requeue": "", "signal": "USR2@90"}).items()
    assert re.search(r"^srun .*--cpus-per-task=4 ", text, re.MULTILINE)


@pytest.mark.slow
def test_a_job_whose_time_is_over_is_queued_again_and_goes_on(cluster, experiment):
    words = [str(experiment), "--workdir", "run", "--train.steps=400", "--train.checkpoint-every=400"]
    sent = submission.submit([*words, "--train.eval-every=400"], JobSize(minutes=5), cluster / "jobs")
    job, log = subprocess.Popen(["bash", "job"]), cluster / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not log.exists() or not log.read_text():
        assert job.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(int((cluster / "task").read_text()), signal.SIGUSR2)
    assert job.wait(timeout=60)
    assert (cluster / "asked").read_text() == "requeue 7\n"
    subprocess.run(["bash", "job"], check=True, timeout=120)
    assert sent.result() == 0
    steps = [line["step"] for line in map(json.loads, log.read_text().splitlines()) if line["split"] == "train"]
    assert steps == list(range(5, 401, 5))


def test_without_submitit_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(RuntimeError, match=r"pip install 'cnn-jax\[slurm\]'"):
        submission.submit(["e.py"], JobSize(), tmp_path)


def test_sending_a_job_loads_no_jax():
    code = "import sys, cnn_jax.parallel as p; p.submit, p.launch, p.JobSize; print('jax' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
