"""A download that breaks off goes on, and no file gets its name without its checksum."""

import hashlib

import numpy as np
import pytest
from file_server import serving

from cnn_jax.download import DownloadError, PublishedFile, copy_published, download, is_published

CONTENT = np.random.default_rng(0).bytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def host(tmp_path):
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "a.bin").write_bytes(CONTENT)
    with serving(tmp_path / "host") as (url, handler):
        yield url, handler


@pytest.fixture
def here(tmp_path):
    return tmp_path / "here" / "a.bin"


def published(url, num_bytes=3_000_000, digest=DIGEST):
    return PublishedFile(f"{url}/a.bin", num_bytes, digest)


@pytest.mark.parametrize(("num_bytes", "digits"), [(len(CONTENT), 64), (None, 8)], ids=["all_known", "eight_digits"])
def test_a_file_arrives_whole_with_reports(host, here, num_bytes, digits):
    reports = []
    file = published(host[0], num_bytes, DIGEST[:digits])
    download(file, here, lambda *report: reports.append(report))
    assert here.read_bytes() == CONTENT and is_published(file, here) and len([*here.parent.iterdir()]) == 1
    assert reports[-1] == ("a.bin", len(CONTENT), len(CONTENT)) and len(reports) == 3


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_what_broke_off_goes_on_where_the_host_can(host, here, knows_ranges):
    url, handler = host
    handler.breaks_off_after, handler.knows_ranges = 1_200_000, knows_ranges
    with pytest.raises(DownloadError, match=r"broke off after 1,200,000 bytes .*try again"):
        download(published(url), here)
    assert not here.exists()
    handler.breaks_off_after = None
    download(published(url), here)
    assert here.read_bytes() == CONTENT and handler.asked == [None, "bytes=1200000-"]


def test_a_part_that_is_all_there_is_only_compared(host, here):
    here.parent.mkdir()
    here.with_name("a.bin.part").write_bytes(CONTENT)
    download(published(host[0]), here)
    assert here.read_bytes() == CONTENT


@pytest.mark.parametrize("digits", [64, 8])
def test_another_file_is_refused_and_not_gone_on_from(host, here, tmp_path, digits):
    (tmp_path / "host" / "a.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(DownloadError, match=rf"not what was published: 3,000,000 bytes .*{DIGEST[:digits]}$"):
        download(published(host[0], digest=DIGEST[:digits]), here)
    assert not [*here.parent.iterdir()]
    (tmp_path / "host" / "a.bin").write_bytes(CONTENT)
    download(published(host[0]), here)
    assert here.read_bytes() == CONTENT


def test_a_part_of_another_file_is_found_out(host, here):
    here.parent.mkdir()
    here.with_name("a.bin.part").write_bytes(b"something else")
    with pytest.raises(DownloadError, match="not what was published"):
        download(published(host[0]), here)
    download(published(host[0]), here)
    assert here.read_bytes() == CONTENT


def test_no_more_is_fetched_than_a_chunk_beyond_the_file(host, here):
    with pytest.raises(DownloadError, match=r"not what was published: 1,048,576 bytes .*expected 5 bytes"):
        download(published(host[0], num_bytes=5), here)


def test_what_is_not_there_is_told(host, here):
    with pytest.raises(DownloadError, match=r"broke off after 0 bytes \(HTTP Error 404"):
        download(PublishedFile(f"{host[0]}/b.bin", None, DIGEST), here)


def test_a_copy_is_compared_too(here, tmp_path):
    (tmp_path / "there.bin").write_bytes(CONTENT)
    copy_published(published("http://none"), tmp_path / "there.bin", here)
    assert here.read_bytes() == CONTENT
    (tmp_path / "there.bin").write_bytes(b"")
    with pytest.raises(DownloadError, match=r"there.bin is not what was published: 0 bytes"):
        copy_published(published("http://none"), tmp_path / "there.bin", here)
    assert here.read_bytes() == CONTENT
