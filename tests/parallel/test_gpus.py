"""Which GPUs a process sees and takes, by fake lists of devices and fake environments of schedulers."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from cnn_jax.parallel import ClusterError, gpus, launch, launcher
from cnn_jax.parallel.gpus import equal_parts, own_gpus, visible_gpus


@pytest.fixture
def plugin(monkeypatch):
    """The installed plugins of JAX: CUDA's, as `uv sync --extra cuda` leaves it."""
    found = [EntryPoint("xla_cuda13", "jax_plugins.xla_cuda13", "jax_plugins")]
    monkeypatch.setattr(gpus, "entry_points", lambda group: found)
    return found


@pytest.fixture
def devices(tmp_path):
    """A /dev with four GPUs, and what else the driver puts there."""
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidia10", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, "0 1 2 3"),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, "2 3"),
        ({"CUDA_VISIBLE_DEVICES": "3, GPU-ab, MIG-cd"}, "3 GPU-ab MIG-cd"),
        ({"CUDA_VISIBLE_DEVICES": "0,-1,1"}, "0"),
        ({"CUDA_VISIBLE_DEVICES": "3,4,1"}, "3"),
        ({"CUDA_VISIBLE_DEVICES": ""}, ""),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, ""),
        ({"JAX_PLATFORMS": "cuda,cpu"}, "0 1 2 3"),
        ({"JAX_PLATFORMS": "cpu"}, ""),
        ({"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "0"}, ""),
        ({"JAX_PLATFORMS": "tpu"}, ""),
    ],
)
def test_a_process_sees_what_cuda_would_show_it(plugin, devices, environment, wanted):
    assert visible_gpus(environment, devices) == wanted.split()


def test_without_the_plugin_jax_sees_no_gpu(plugin, devices):
    plugin.clear()
    assert visible_gpus({}, devices) == []


@pytest.mark.parametrize(
    ("count", "processes", "wanted"),
    [(8, 8, [[n] for n in range(8)]), (8, 2, [[0, 1, 2, 3], [4, 5, 6, 7]]), (1, 1, [[0]])],
)
def test_gpus_are_shared_equally(count, processes, wanted):
    assert equal_parts(range(count), processes) == wanted


@pytest.mark.parametrize(("count", "processes", "fitting"), [(8, 3, "1, 2, 4, 8"), (1, 2, "1"), (2, 4, "1, 2")])
def test_a_misfit_names_both_counts_and_what_fits(count, processes, fitting):
    wanted = f"{processes} processes cannot share {count} GPUs? equally: start {fitting},.* JAX_PLATFORMS=cpu"
    with pytest.raises(ClusterError, match=wanted):
        equal_parts(range(count), processes)


def slurm(local, tasks, on_node=None, per_task=None, node=0):
    """What srun tells a task."""
    said = {"SLURM_LOCALID": local, "SLURM_STEP_TASKS_PER_NODE": tasks, "SLURM_NODEID": node}
    said |= {"SLURM_GPUS_ON_NODE": on_node, "SLURM_GPUS_PER_TASK": per_task}
    return {name: str(value) for name, value in said.items() if value is not None}


def open_mpi(local, tasks):
    """What mpirun tells a process, with the variables of the task of Slurm's that started its daemon."""
    said = {"OMPI_COMM_WORLD_LOCAL_RANK": str(local), "OMPI_COMM_WORLD_LOCAL_SIZE": str(tasks)}
    return slurm(0, "1(x2)") | said


OWN = {
    "one task of a node with eight GPUs": (slurm(0, "1(x4)", 8), 8, [*range(8)]),
    "eight tasks, each sees all": (slurm(5, "8(x2)", 8), 8, [5]),
    "eight tasks, each sees its own": (slurm(5, "8(x2)", 8), 1, [0]),
    "--gpus-per-task 1, bound": (slurm(5, 8, 8, 1), 1, [0]),
    "--gpus-per-task 1, counted by task": (slurm(5, 8, 1, 1), 1, [0]),
    "--gpus-per-task 1, not bound": (slurm(5, 8, 8, 1), 8, [5]),
    "--gpus-per-task a100:2, bound": (slurm(1, 4, 8, "a100:2"), 2, [0, 1]),
    "--gpus-per-task a100:2, not bound": (slurm(1, 4, 8, "a100:2"), 8, [2, 3]),
    "two tasks, eight GPUs": (slurm(1, 2, 8), 8, [4, 5, 6, 7]),
    "an uneven job, its second node": (slurm(1, "4,2", 4, node=1), 4, [2, 3]),
    "no count of Slurm's": (slurm(1, 2), 2, [1]),
    "no count of Slurm's but a task's": (slurm(1, 2, per_task=1), 1, [0]),
    "the batch script's own process": ({"SLURM_LOCALID": "0", "SLURM_TASKS_PER_NODE": "8"}, 8, None),
    "Open MPI": (open_mpi(3, 4), 4, [3]),
    "Open MPI, one process a node": (open_mpi(0, 1), 8, [*range(8)]),
    "Open MPI, each given its own": (open_mpi(3, 4) | {"CUDA_VISIBLE_DEVICES": "3"}, 1, [0]),
    "tasks given their own, and nothing counted": (slurm(5, 8) | {"CUDA_VISIBLE_DEVICES": "5"}, 1, [0]),
    "on the CPU": (slurm(5, 8), 0, None),
    "no scheduler": ({}, 8, None),
    "said by hand": (slurm(0, 3, 8) | {"JAX_LOCAL_DEVICE_IDS": "0,1"}, 8, None),
}


@pytest.mark.parametrize("case", OWN)
def test_a_task_takes_all_its_gpus_or_its_part(case):
    environment, seen, wanted = OWN[case]
    assert own_gpus(environment, seen) == wanted


MISFITS = {
    "three tasks, eight GPUs": (slurm(0, 3, 8), 8, "processes are 3, its GPUs 8, .* sees 8"),
    "more tasks than GPUs": (slurm(0, 8, 2), 2, "processes are 8, its GPUs 2, .* sees 2"),
    "one task that sees one of eight": (slurm(0, 1, 8), 1, "processes are 1, its GPUs 8, .* sees 1"),
    "two tasks that see one of eight": (slurm(0, 2, 8), 1, "processes are 2, its GPUs 8, .* sees 1"),
    "one a task, and seven left": (slurm(0, 1, 8, 1), 8, "GPUs 8, `--gpus-per-task` 1, .* sees 8"),
    "Open MPI, three processes": (open_mpi(0, 3), 8, "processes are 3, its GPUs 8"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_gpus_left_over_or_taken_twice_are_refused(case):
    environment, seen, wanted = MISFITS[case]
    with pytest.raises(ClusterError, match=wanted + r".*--ntasks-per-node=\d.*JAX_LOCAL_DEVICE_IDS"):
        own_gpus(environment, seen)


SAY = "import json, os; print(json.dumps([os.environ.get(n) for n in {}]))"
NAMES = ["CUDA_VISIBLE_DEVICES", "JAX_LOCAL_DEVICE_IDS"]


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [(["2", "GPU-ab"], [["2", "0"], ["GPU-ab", "0"]]), (["1", "2", "5", "6"], [["1,2", "0,1"], ["5,6", "0,1"]])],
)
def test_each_process_of_a_launch_has_its_own_gpus(monkeypatch, capfd, seen, wanted):
    monkeypatch.setattr(launcher, "visible_gpus", lambda: seen)
    monkeypatch.setattr(launcher, "_flags", lambda processes: [[]] * processes)
    assert launch([sys.executable, "-c", SAY.format(NAMES)], processes=2) == 0
    out, err = capfd.readouterr()
    assert [json.loads(out), json.loads(err.removeprefix("[1] "))] == wanted


def test_processes_on_the_cpu_are_told_of_no_gpu(monkeypatch, capfd):
    monkeypatch.setattr(launcher, "_flags", lambda processes: [[]] * processes)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    assert launch([sys.executable, "-c", SAY.format(NAMES)], processes=1) == 0
    assert json.loads(capfd.readouterr().out) == [None, None]


def test_a_launch_that_cannot_share_the_gpus_starts_nothing(monkeypatch):
    monkeypatch.setattr(launcher, "visible_gpus", lambda: ["0"])
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it started"))
    with pytest.raises(ClusterError, match="2 processes cannot share 1 GPU equally"):
        launch(["true"], processes=2)
