"""Which errors say that another process is gone; the processes themselves die in test_launch."""

import re
import subprocess
import sys

import jax
import pytest

from cnn_jax.parallel import PeerError, joined, processes


@pytest.fixture
def two(monkeypatch):
    """This process believes that it is the second of two."""
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    monkeypatch.setattr(processes, "wait_for_all", lambda name: None)


@pytest.mark.parametrize(
    "error",
    [
        jax.errors.JaxRuntimeError("UNKNOWN: Gloo all-reduce failed: Connection reset by peer"),
        ValueError("UNKNOWN: Gloo AllGather failed: Connection closed by peer"),
        TimeoutError("Timed out while waiting for async_write_complete barrier."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failed_exchange_is_a_lost_peer(two, error):
    wanted = r"process 1 of 2 lost another one .*continues from its newest checkpoint"
    with pytest.raises(PeerError, match=wanted), joined(True):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8589934592 bytes."),
        ValueError("`data.batch_size` is 7: it must divide evenly over 2 devices."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_this_process_stays_what_it_is(two, error):
    with pytest.raises(type(error), match=re.escape(str(error))) as raised, joined(True):
        raise error
    assert raised.value is error


def test_a_peer_lost_before_the_first_exchange_is_named_too(two, monkeypatch):
    def meet():
        raise jax.errors.JaxRuntimeError("UNKNOWN: Gloo AllGather failed: Connection closed by peer")

    monkeypatch.setattr(jax, "process_count", meet)
    with pytest.raises(PeerError, match="had just started lost another one"), joined(True):
        pass


def test_without_a_cluster_the_message_says_what_to_give():
    # In a process of its own: JAX joins others only before its first computation.
    program = "from cnn_jax.parallel import joined\nwith joined(True): pass"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"ClusterError: .*parallel\.coordinator.*cnn-jax launch", done.stderr)
