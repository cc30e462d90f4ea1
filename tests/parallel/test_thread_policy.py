"""The threads that JAX starts with its devices let each other finish."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, socket
from cnn_jax.parallel import joined

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{free.getsockname()[1]}"
policy = lambda thread: os.sched_getscheduler(int(thread))
names = {}
with joined(True, address, 1, 0):
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/comm") as file:
            names.setdefault(file.read(), set()).add(policy(thread))
with open("/proc/self/comm") as file:  # gloo's thread has no name of its own
    assert names[file.read()] == {os.SCHED_BATCH, os.SCHED_OTHER}, names
assert names["tf_XLAEigen\\n"] == {os.SCHED_BATCH}, names
assert policy(0) == os.SCHED_OTHER
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a policy of Linux's scheduler")
def test_threads_of_a_joined_process_take_turns():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
