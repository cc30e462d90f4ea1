"""Numbers that name no process, or that would have no effect, are refused before anything starts."""

import os

import jax
import pytest

from cnn_jax.parallel import ClusterError, joined, processes


@pytest.fixture(autouse=True)
def no_scheduler(monkeypatch):
    """Outside any job; and what joining sets for the whole process is put back."""
    for name in os.environ:
        if name.startswith(("SLURM_", "OMPI_", "JAX_LOCAL_DEVICE_IDS")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("grpc_proxy", "http://127.0.0.1:9")
    before = jax.config.jax_enable_preemption_service
    yield
    jax.config.update("jax_enable_preemption_service", before)
    jax.config.update("jax_check_proxy_envs", True)  # as JAX has it; it cannot be read


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((False, "localhost:1", None, None), "`parallel.coordinator` is localhost:1, and has no effect without"),
        ((False, None, 2, None), "`parallel.num_processes` is 2, and has no effect without `parallel.distributed`"),
        ((False, None, None, 0), "`parallel.process_id` is 0, and has no effect without `parallel.distributed`"),
        ((True, "localhost", 1, 0), "`parallel.coordinator` is localhost: it must be HOST:PORT"),
        ((True, "localhost:http", 1, 0), "`parallel.coordinator` is localhost:http"),
        ((True, ":123", 1, 0), "`parallel.coordinator` is :123"),
        ((True, "localhost:70000", 1, 0), "`parallel.coordinator` is localhost:70000"),
        ((True, "localhost:1", 0, 0), "`parallel.num_processes` is 0"),
        ((True, "localhost:1", 10**30, 0), "`parallel.num_processes` is 10"),
        ((True, "localhost:1", 2, 2), "`parallel.process_id` is 2: it must be from 0 to below"),
        ((True, "localhost:1", 2, -1), "`parallel.process_id` is -1"),
    ],
)
def test_what_names_no_process_is_refused(given, message):
    with pytest.raises(ClusterError, match=message), joined(*given):
        pytest.fail("it joined")


@pytest.mark.parametrize(
    ("gpus", "job", "own"),
    [
        ("0,1,2,3,4,5,6,7", {"SLURM_LOCALID": "0", "SLURM_STEP_TASKS_PER_NODE": "1(x2)"}, [*range(8)]),
        ("0,1,2,3,4,5,6,7", {"SLURM_LOCALID": "5", "SLURM_STEP_TASKS_PER_NODE": "8"}, [5]),
        ("5", {"SLURM_LOCALID": "5", "SLURM_STEP_TASKS_PER_NODE": "8", "SLURM_GPUS_PER_TASK": "1"}, [0]),
        ("0,1", {}, None),
        (None, {"SLURM_LOCALID": "5", "SLURM_STEP_TASKS_PER_NODE": "8"}, None),
    ],
    ids=["all eight", "one of eight", "the one that it sees", "no scheduler", "on the CPU"],
)
def test_a_process_joins_with_the_gpus_that_its_job_says(monkeypatch, gpus, job, own):
    seen = []
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: False)
    monkeypatch.setattr(jax.distributed, "initialize", lambda *given, **_: seen.append(given))
    monkeypatch.setattr(processes, "visible_gpus", lambda: [] if gpus is None else gpus.split(","))
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    with joined(True):
        pass
    assert seen == [(None, None, None, own)]


def test_jax_leaves_sigterm_alone(monkeypatch):
    """Its preemption service would take it, and a run that has not begun would not end."""
    seen = []
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: False)
    look = lambda *_, **__: seen.append(jax.config.jax_enable_preemption_service)  # noqa: E731
    monkeypatch.setattr(jax.distributed, "initialize", look)
    with joined(True):
        pass
    assert seen == [False]


def test_gpus_that_the_processes_cannot_share_are_refused_before_they_meet(monkeypatch):
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: False)
    monkeypatch.setattr(jax.distributed, "initialize", lambda *_, **__: pytest.fail("it joined"))
    monkeypatch.setattr(processes, "visible_gpus", lambda: ["0", "1"])
    monkeypatch.setenv("SLURM_LOCALID", "0")
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "3")
    with pytest.raises(ClusterError, match="processes are 3, its GPUs 2"), joined(True):
        pytest.fail("it joined")


def test_processes_do_not_meet_through_a_proxy(monkeypatch):
    seen = []
    monkeypatch.setenv("grpc_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: False)
    monkeypatch.setattr(jax.distributed, "initialize", lambda *_, **__: seen.append(os.environ["grpc_proxy"]))  # noqa: SIM112
    with joined(True, "127.0.0.1:12345", 1, 0):
        pass
    assert seen == [""]
