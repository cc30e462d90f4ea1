"""Every signal that ends a job is noted, and none interrupts the save."""

import contextlib
import os
import signal

import pytest

from cnn_jax.runs.console.signals import Stopped, StopSignals

NAMES = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"]


@pytest.fixture(autouse=True)
def a_terminal():
    """A closed terminal is not ignored, whatever the tests run under."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_asks_for_a_stop_and_its_handler_comes_back(name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with StopSignals() as stop:
        assert stop.requested is None
        os.kill(os.getpid(), number)
        assert stop.requested == number
    assert signal.getsignal(number) is before


def test_a_second_interrupt_waits_for_the_save_and_a_third_does_not():
    with StopSignals() as stop, pytest.raises(KeyboardInterrupt, match=r"^$"):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)


def test_the_first_signal_decides_the_status():
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.requested == signal.SIGUSR1


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.requested is None
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_is_lost_a_signal_ends_what_is_done_at_once(name):
    number = getattr(signal, name)
    with pytest.raises(Stopped, match=f"stopped by {name}; nothing was lost") as stopped, StopSignals() as stop:
        stop.at_once = True
        try:
            os.kill(os.getpid(), number)
        except Exception:  # as a decoder takes for damage whatever comes
            pytest.fail("it was taken for a fault")
        pytest.fail("it went on")
    assert stopped.value.exit_status == 128 + number


def test_a_signal_that_something_swallowed_is_still_noted():
    with StopSignals() as stop:
        stop.at_once = True
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped, match="saved at step 3"):
            stop.end_if_asked(3)


def test_a_signal_that_came_before_is_taken_over():
    with StopSignals():
        os.kill(os.getpid(), signal.SIGUSR1)
        with StopSignals() as inner, pytest.raises(Stopped, match="SIGUSR1"):
            inner.end_if_asked()


@pytest.mark.parametrize("name", NAMES)
def test_the_status_is_the_shells(name):
    stopped = Stopped(getattr(signal, name), 7)
    assert stopped.exit_status == 128 + getattr(signal, name)
    assert name in str(stopped) and "saved at step 7" in str(stopped)
