"""A training as a cluster's job: submitit's local executor runs it here, in the same way that Slurm would."""

import json
import signal
import subprocess
import sys
import threading

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
        signal.pthread_kill(main_thread, signal.SIGUSR2)

    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(RuntimeError, match="status 143"):
            training()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert (tmp_path / "got").read_text() == str(int(signal.SIGTERM))
    assert isinstance(asked[0].function, Training)


def test_without_submitit_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(RuntimeError, match=r"pip install 'cnn-jax\[slurm\]'"):
        submission.submit(["e.py"], JobSize(), tmp_path)


def test_sending_a_job_loads_no_jax():
    code = "import sys, cnn_jax.parallel as p; p.submit, p.launch, p.JobSize; print('jax' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
