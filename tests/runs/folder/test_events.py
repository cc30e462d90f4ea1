"""Event files: cutting one back leaves what a shorter run would have written."""

import pytest

from cnn_jax.runs.folder.events import EventWriter, cut_events, read_records


@pytest.fixture
def folder(tmp_path):
    writer = EventWriter(tmp_path)
    for step in range(1, 6):
        writer.write_line(f'{{"step": {step}, "split": "train", "loss": 0.5}}')
    writer.close()
    return tmp_path


def steps(folder):
    return [r.event.step for r in read_records(folder)[0] if r.line]


def cut_after(folder, step):
    cut_events(folder, [r.end for r in read_records(folder)[0] if r.event.step <= step][-1])


def test_a_cut_leaves_what_stood_before(folder):
    cut_after(folder, 3)
    assert steps(folder) == [1, 2, 3]


def test_writing_goes_on_after_a_cut(folder):
    cut_after(folder, 2)
    writer = EventWriter(folder)
    writer.write_line('{"step": 3, "split": "train", "loss": 0.0}')
    writer.close()
    assert steps(folder) == [1, 2, 3]


def test_a_record_cut_short_is_dropped(folder):
    file = folder / EventWriter.FILE_NAME
    data = file.read_bytes()
    for lost in (1, 5, 20):
        file.write_bytes(data[:-lost])
        assert steps(folder) == [1, 2, 3, 4]
    cut_after(folder, 5)
    assert file.read_bytes() == data[: file.stat().st_size] and steps(folder) == [1, 2, 3, 4]


def test_a_missing_file_is_no_error(tmp_path):
    cut_events(tmp_path, 3)
    assert not list(tmp_path.iterdir())
