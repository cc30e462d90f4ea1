"""One writer, whatever happens to the lock file."""

import errno
import fcntl
import os
import shutil
import threading

import pytest

from cnn_jax.config import load_experiment
from cnn_jax.data.store import lock_file
from cnn_jax.runs import trainer
from cnn_jax.runs.folder.lock import FolderLock, only_training
from cnn_jax.runs.folder.metrics_file import RunError


def test_a_second_writer_is_refused_until_the_first_has_gone(tmp_path):
    first = FolderLock(tmp_path)
    with pytest.raises(RunError, match="being written by another process"):
        FolderLock(tmp_path)
    first.check()
    first.release()
    FolderLock(tmp_path).release()


def test_a_removed_lock_file_admits_no_second_writer(tmp_path):
    first = FolderLock(tmp_path)
    (tmp_path / ".lock").unlink()
    with pytest.raises(RunError, match="being written by another process"):
        FolderLock(tmp_path)
    first.check()
    first.release()


def test_one_that_locks_the_file_alone_is_seen(tmp_path):
    with (tmp_path / ".lock").open("a") as held:  # as 0.1 did
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="being written by another process"):
            FolderLock(tmp_path)


def test_a_folder_that_is_written_to_is_refused_before_anything_is_made_ready(tmp_path, experiment, monkeypatch):
    monkeypatch.setattr(trainer, "open_session", lambda *_: pytest.fail("a session was opened"))
    held = FolderLock(tmp_path)
    with pytest.raises(RunError, match="being written by another process"):
        trainer.train(load_experiment(experiment), tmp_path)
    held.release()


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_is_removed_or_replaced_is_noticed(tmp_path, again):
    folder = tmp_path / "run"
    folder.mkdir()
    held = FolderLock(folder)
    shutil.rmtree(folder)
    if again:
        folder.mkdir()
    with pytest.raises(RunError, match="was removed or replaced"):
        held.check()
    held.release()


def locks_fail(monkeypatch, folders_only):
    real = fcntl.flock

    def flock(descriptor, how):
        if not folders_only or os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        real(descriptor, how)

    monkeypatch.setattr(lock_file.fcntl, "flock", flock)


def test_without_locks_a_sentence_says_so_and_training_goes_on(tmp_path, monkeypatch):
    locks_fail(monkeypatch, folders_only=False)
    with pytest.warns(UserWarning, match="has no locks"):
        FolderLock(tmp_path).release()


def test_where_only_files_can_be_locked_a_removed_lock_file_ends_the_first(tmp_path, monkeypatch):
    locks_fail(monkeypatch, folders_only=True)
    held = FolderLock(tmp_path)
    with pytest.raises(RunError, match="being written by another process"):
        FolderLock(tmp_path)
    held.check()
    (tmp_path / ".lock").unlink()
    with pytest.raises(RunError, match=r"\.lock` was removed"):
        held.check()
    held.release()


@pytest.mark.parametrize("readable", [True, False])
def test_a_lock_file_of_another_user_locks_nobody_out(tmp_path, monkeypatch, readable):
    (tmp_path / ".lock").touch()
    real = os.open

    def opens(path, flags, *mode, **options):
        if str(path).endswith(".lock") and (not readable or flags & os.O_RDWR):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", opens)
    held = FolderLock(tmp_path)
    with pytest.raises(RunError, match="being written by another process"):
        FolderLock(tmp_path)
    held.release()


def test_one_training_at_a_time_in_a_process():
    refused = []

    def second():
        try:
            with only_training():
                pass
        except RunError as error:
            refused.append(str(error))

    with only_training():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert refused and "another training runs in this process" in refused[0]
    with only_training():
        pass


def test_of_two_that_begin_at_once_one_goes_on(tmp_path):
    """The second, which does not get the folder, leaves the file to the first, which has not locked it yet."""
    (tmp_path / ".lock").touch()
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)  # the first's

    def second():
        with pytest.raises(RunError, match="being written by another process"):
            FolderLock(tmp_path)

    refused = threading.Thread(target=second)
    refused.start()
    with (tmp_path / ".lock").open() as file:
        while refused.is_alive():
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)
            refused.join(0.01)
    os.close(folder)


@pytest.mark.parametrize("name", [".", ".lock"])
def test_who_only_looks_keeps_nobody_out(tmp_path, name):
    (tmp_path / ".lock").touch()
    looking = os.open(tmp_path / name, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.25, os.close, [looking]).start()
    FolderLock(tmp_path).release()


def test_a_folder_in_place_of_the_lock_file_is_named_and_nothing_stays_open(tmp_path):
    (tmp_path / ".lock").mkdir()
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(RunError, match=r"\.lock` cannot be opened .*remove it"):
        FolderLock(tmp_path)
    assert sorted(os.listdir("/proc/self/fd")) == before
