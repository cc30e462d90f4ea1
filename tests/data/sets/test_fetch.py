import functools
import hashlib
import http.server
import socket
import threading
import time

import pytest
from archive_writers import write_cifar10

from cnn_jax import download
from cnn_jax.data import DataError, load_dataset, prepare
from cnn_jax.data.sets import fetch
from cnn_jax.download import PublishedFile

FILE = "cifar-10-binary.tar.gz"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def published(tmp_path, monkeypatch):
    """CIFAR-10's archive, small, published on this machine; the folder it lies in, and the log of its address."""
    folder = tmp_path / "published"
    folder.mkdir()
    write_cifar10(folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    content = (folder / FILE).read_bytes()
    url = f"http://127.0.0.1:{server.server_port}/{FILE}"
    archive = PublishedFile(url, len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(fetch, "official_archives", lambda name: {FILE: archive})
    yield folder
    server.shutdown()
    server.server_close()


def test_archives_are_fetched_where_there_is_a_network(tmp_path, published):
    reports = []
    prepare("cifar10", root=tmp_path / "root", report=lambda *report: reports.append(report))
    assert len(load_dataset("cifar10", "test", root=tmp_path / "root")) == 6
    assert reports[0][0] == FILE and reports[0][1] <= reports[0][2]
    assert not list((tmp_path / "root").glob(".archives*"))


def test_archive_that_differs_from_the_published_one_is_refused(tmp_path, published):
    (published / FILE).write_bytes(b"something else")
    with pytest.raises(DataError, match=r"is not what was published: 14 bytes with the SHA-256 .*--source DIR"):
        prepare("cifar10", root=tmp_path / "root")
    assert not list((tmp_path / "root").glob("**/cifar-10-binary.tar.gz"))


def test_missing_archive_is_named(tmp_path, published):
    (published / FILE).unlink()
    with pytest.raises(DataError, match=r"broke off after 0 bytes .*404.*--source DIR"):
        prepare("cifar10", root=tmp_path / "root")


def test_finished_archives_are_not_fetched_again(tmp_path, published):
    for _ in range(2):
        fetch.fetch_archives("cifar10", [FILE], tmp_path / "here")
        (published / FILE).unlink(missing_ok=True)
    assert (tmp_path / "here" / FILE).exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "https://no-such-host.invalid/x"])
def test_without_a_network_the_remedy_is_named_within_two_seconds(tmp_path, monkeypatch, url):
    monkeypatch.setattr(fetch, "official_archives", lambda name: {FILE: PublishedFile(url, 1, "0")})
    begin = time.perf_counter()
    with pytest.raises(DataError, match=r"cannot be reached; .* `cnn-jax data prepare cifar10 --source DIR`"):
        prepare("cifar10", root=tmp_path)
    assert time.perf_counter() - begin < 2


def test_host_that_never_answers_is_given_up_within_two_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(download.socket, "create_connection", lambda *a, **k: time.sleep(3) or socket.socket())
    monkeypatch.setattr(fetch, "official_archives", lambda name: {FILE: PublishedFile("http://silent/x", 1, "0")})
    begin = time.perf_counter()
    with pytest.raises(DataError, match="cannot be reached"):
        prepare("cifar10", root=tmp_path)
    assert time.perf_counter() - begin < 2
