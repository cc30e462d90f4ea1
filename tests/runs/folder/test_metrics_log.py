"""Metrics stand in two files: what is damaged in one is named and comes back from the other, or is refused."""

import contextlib
import json
import warnings
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from cnn_jax.config import Config
from cnn_jax.runs.derive import derive
from cnn_jax.runs.folder.events import EventWriter, is_summary, read_records
from cnn_jax.runs.folder.lock import FolderLock
from cnn_jax.runs.folder.metrics_file import RunError, read_metrics
from cnn_jax.runs.folder.metrics_log import MetricsLog
from cnn_jax.runs.folder.run import take_run

STEPS = 6


def values(step):
    return {"loss": 1 / step, "top1": step / 7, "time/images_per_s": 100.5 + step}


def write(log, last=STEPS):
    for step in range(1, last + 1):
        log.write(step, "train", values(step))
    log.write(last, "validation", {"loss": float("nan"), "num_examples": 9, "per_class": {"a": 0.25, "b": None}})


@pytest.fixture
def run(tmp_path):
    """A folder with seven lines up to step 6, and what a checkpoint there saw of them."""
    log = MetricsLog(tmp_path)
    log.begin()
    write(log)
    log.note_saved(STEPS)
    log.close()
    return tmp_path, log.lines


def contents(folder):
    return (folder / "metrics.jsonl").read_bytes(), (folder / EventWriter.FILE_NAME).read_bytes()


def resume(folder, saved, step=STEPS, last=100):
    """What is said, and the test line."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        log = MetricsLog(folder)
        test = log.resume(step, last, saved)
        log.close()
    return [str(w.message) for w in said], test


def shown(folder):
    """The lines in the event file, or where 0.1 wrote it, the names of its scalars; wall times differ."""
    records = [r for r in read_records(folder)[0] if r.event and is_summary(r)]
    return [(r.event.step, r.line or str([v.tag for v in r.event.summary.value])) for r in records]


def drawn(folder, split, tag="loss"):
    """What TensorBoard draws."""
    events = EventAccumulator(str(folder / split))
    events.Reload()
    return [(s.step, pytest.approx(s.value, nan_ok=True)) for s in events.Scalars(tag)]


def test_tensorboard_draws_the_lines_of_every_split_under_one_name(run):
    assert drawn(run[0], "train") == [(k, 1 / k) for k in range(1, 7)]
    assert drawn(run[0], "validation") == [(STEPS, float("nan"))]


def test_charts_follow_the_run_back_to_its_checkpoint(run):
    folder, saved = run
    charts = [folder / split / EventWriter.FILE_NAME for split in ("train", "validation")]
    before = [path.read_bytes() for path in charts]
    log = MetricsLog(folder)
    log.resume(STEPS, 100, saved)
    assert [path.read_bytes() for path in charts] == before
    log.write(7, "train", values(7))
    log.write(7, "test", {"loss": 0.5})
    log.close()
    charts[1].write_bytes(b"nonsense")
    assert drawn(folder, "train")[-1] == (7, 1 / 7) and drawn(folder, "test") == [(7, 0.5)]
    resume(folder, saved)
    assert [path.read_bytes() for path in charts] == before and not (folder / "test").exists()


def test_tensorboard_shows_the_text_that_the_run_begins_with(tmp_path):
    log = MetricsLog(tmp_path, "| key | value |")
    log.write(1, "train", values(1))
    log.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert events.Tensors("configuration")[0].tensor_proto.string_val == [b"| key | value |"]
    assert events.SummaryMetadata("configuration").plugin_data.plugin_name == "text"
    assert resume(tmp_path, log.lines, step=1) == ([], None)


def test_whole_files_are_not_touched_and_nothing_is_said(run):
    folder, saved = run
    before = contents(folder)
    assert resume(folder, saved, last=STEPS) == ([], None)
    assert contents(folder) == before


def test_what_a_killed_run_wrote_after_its_checkpoint_is_dropped_without_a_word(run):
    folder, saved = run
    lines, events = contents(folder)[0], shown(folder)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "split": "train", "loss": 1.0}\n{"step": 8, "spl')
    writer = EventWriter(folder)
    writer.write_line('{"step": 7, "split": "train", "loss": 1.0}')
    writer.close()
    with (folder / EventWriter.FILE_NAME).open("ab") as file:
        file.write(b"\x07\0\0\0\0\0\0\0half")
    assert resume(folder, saved)[0] == []
    assert (folder / "metrics.jsonl").read_bytes() == lines
    assert shown(folder) == events


DAMAGE = {
    "a digit": lambda b: b.replace(b"0.3333", b"0.3334"),
    "a rate": lambda b: b.replace(b"102.5", b"122.5"),
    "a class": lambda b: b.replace(b"0.25", b"0.75"),
    "a NUL": lambda b: b[:40] + b"\0" + b[41:],
    "no UTF-8": lambda b: b[:40] + b"\xff" + b[41:],
    "a line gone": lambda b: b"".join(b.splitlines(True)[:2] + b.splitlines(True)[3:]),
    "a line twice": lambda b: b"".join([*b.splitlines(True)[:3], *b.splitlines(True)[2:]]),
    "another order": lambda b: b"".join(b.splitlines(True)[::-1]),
    "cut": lambda b: b[: len(b) // 2],
    "empty": lambda b: b"",
    "zeros": lambda b: bytes(len(b)),
    "another run's": lambda b: b.replace(b"0.", b"1."),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_metrics_are_named_and_repaired_to_the_byte(run, damage):
    folder, saved = run
    before, _events = contents(folder)
    assert damage(before) != before
    (folder / "metrics.jsonl").write_bytes(damage(before))
    said, _ = resume(folder, saved)
    assert len(said) == 1 and "metrics.jsonl` was damaged and has been repaired" in said[0]
    assert contents(folder)[0] == before
    assert resume(folder, saved)[0] == []


@pytest.mark.parametrize("place", range(0, 900, 37))
@pytest.mark.parametrize("change", ["flip", "cut"])
def test_damaged_events_are_named_and_repaired(run, place, change):
    folder, saved = run
    path, before = folder / EventWriter.FILE_NAME, shown(folder)
    data = bytearray(path.read_bytes())
    if change == "flip":
        data[place] ^= 0x10
        path.write_bytes(data)
    else:
        path.write_bytes(data[:place])
    said, _ = resume(folder, saved)
    assert len(said) == 1 and f"{EventWriter.FILE_NAME}` was damaged and has been repaired" in said[0]
    assert shown(folder) == before
    assert resume(folder, saved)[0] == []


def test_missing_events_are_made_again_and_missing_metrics_too(run):
    folder, saved = run
    lines, before = contents(folder)[0], shown(folder)
    (folder / EventWriter.FILE_NAME).unlink()
    assert EventWriter.FILE_NAME in resume(folder, saved)[0][0]
    assert shown(folder) == before
    (folder / "metrics.jsonl").unlink()
    assert "metrics.jsonl" in resume(folder, saved)[0][0]
    assert contents(folder)[0] == lines


def test_both_damaged_at_different_places_are_mended_from_each_other(run):
    folder, saved = run
    lines, events = contents(folder)
    rows = lines.splitlines(True)
    (folder / "metrics.jsonl").write_bytes(b"".join([b"?" + rows[0][1:], *rows[1:]]))
    flipped = bytearray(events)
    flipped[events.index(b"train", len(events) // 2)] ^= 1
    (folder / EventWriter.FILE_NAME).write_bytes(flipped)
    assert len(resume(folder, saved)[0]) == 2
    assert contents(folder)[0] == lines


def test_both_damaged_at_one_place_are_refused_and_not_touched(run):
    folder, saved = run
    (folder / "metrics.jsonl").write_bytes(b"")
    (folder / EventWriter.FILE_NAME).write_bytes(b"")
    for _ in range(2):
        with pytest.raises(RunError, match=r"metrics.jsonl` and the event file beside it are both damaged"):
            resume(folder, saved)
        assert contents(folder) == (b"", b"")


def test_a_run_killed_between_its_test_line_and_its_event_has_it_made_up(run):
    folder, saved = run
    line = json.dumps({"step": STEPS, "split": "test", "loss": 0.5, "per_class": {"a": 1.0}})
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(line + "\n")
    assert resume(folder, saved, last=STEPS) == ([], {"loss": 0.5, "per_class": {"a": 1.0}})
    assert (STEPS, line) in shown(folder) and drawn(folder, "test") == [(STEPS, 0.5)]


def test_a_changed_test_line_comes_back_from_its_event(run):
    folder, saved = run
    log = MetricsLog(folder)
    log.resume(STEPS, STEPS, saved)
    log.write(STEPS, "test", {"loss": 0.5, "top1": 0.875, "per_class": {"a": 0.625}})
    log.close()
    before = contents(folder)[0]
    for a, b in ((b"0.875", b"0.975"), (b"0.625", b"0.725"), (b'"test"', b'"tesT"')):
        (folder / "metrics.jsonl").write_bytes(before.replace(a, b))
        said, test = resume(folder, saved, last=STEPS)
        assert len(said) == 1 and "metrics.jsonl" in said[0]
        assert test == {"loss": 0.5, "top1": 0.875, "per_class": {"a": 0.625}}
        assert contents(folder)[0] == before


def without_lines(folder):
    """The event file as 0.1 wrote it."""
    lines = contents(folder)[0]
    (folder / EventWriter.FILE_NAME).unlink()
    writer = EventWriter(folder)
    for line in lines.splitlines():
        row = json.loads(line)
        value = Summary.Value(tag=f"{row['split']}/loss", simple_value=row["loss"] or float("nan"))
        writer.write(Event(step=row["step"], summary=Summary(value=[value])))
    writer.close()


def test_a_run_of_0_1_goes_on(run):
    folder, _saved = run
    without_lines(folder)
    before = contents(folder)
    assert resume(folder, None)[0] == []
    assert contents(folder)[0] == before[0]
    log = MetricsLog(folder)
    log.resume(4, 100, None)
    log.write(5, "train", values(5))
    log.close()
    assert [line["step"] for line in read_metrics(folder)] == [1, 2, 3, 4, 5]
    assert [step for step, _ in shown(folder)] == [1, 2, 3, 4, 5] and drawn(folder, "train") == [(5, 0.2)]
    assert resume(folder, log.lines, step=5) == ([], None)


def test_damaged_metrics_of_0_1_are_refused_by_line(run):
    folder, _ = run
    without_lines(folder)
    rows = contents(folder)[0].splitlines(True)
    (folder / "metrics.jsonl").write_bytes(b"".join([*rows[:2], b"\0" + rows[2][1:], *rows[3:]]))
    found = []
    for act in (lambda: resume(folder, None), lambda: read_metrics(folder), lambda: MetricsLog(folder).begin()):
        with pytest.raises(RunError, match=r"metrics.jsonl` is damaged: line 3") as refusal:
            act()
        found.append(str(refusal.value))
    assert not any("repairs" in sentence for sentence in found)


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "a line gone", "a line cut"])
def test_lost_metrics_of_0_1_are_refused_and_nothing_is_changed(run, damage):
    folder, _ = run
    without_lines(folder)
    path = folder / "metrics.jsonl"
    rows = path.read_bytes().splitlines(True)
    left = {"empty": b"", "cut": b"".join(rows[:4]), "a line gone": b"".join(rows[:2] + rows[3:])}
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(left.get(damage, b"".join(rows)[:-3]))
    before = path.exists() and path.read_bytes(), (folder / EventWriter.FILE_NAME).read_bytes()
    for _ in range(2):
        with pytest.raises(RunError, match=r"metrics.jsonl` has fewer lines up to step 6 than the event file shows"):
            resume(folder, None)
        assert before == (path.exists() and path.read_bytes(), (folder / EventWriter.FILE_NAME).read_bytes())


def test_a_reader_of_damaged_metrics_is_told_what_repairs_them(run):
    folder, saved = run
    (folder / "metrics.jsonl").write_bytes(b"?" + contents(folder)[0])
    with pytest.raises(RunError, match=r"line 1 .* The training command of the run repairs it"):
        read_metrics(folder)
    assert "has been repaired" in resume(folder, saved)[0][0]
    (folder / "metrics.jsonl").write_bytes(b"?" + contents(folder)[0])
    (folder / EventWriter.FILE_NAME).unlink()
    with pytest.raises(RunError, match=r"line 1 .* Put back a copy"):
        read_metrics(folder)


def test_a_line_that_is_whole_and_another_is_found_by_the_events(run):
    folder, saved = run
    text = contents(folder)[0]
    changed = text.replace(b'"loss": ', b'"loss": 1', 1)
    assert changed != text
    (folder / "metrics.jsonl").write_bytes(changed)
    with pytest.raises(RunError, match=r"metrics.jsonl` is damaged: line 1 is not the one that the event file beside"):
        read_metrics(folder)
    assert "has been repaired" in resume(folder, saved)[0][0]
    assert contents(folder)[0] == text


def test_events_of_a_start_whose_metrics_are_gone_are_dropped_when_it_begins_anew(tmp_path):
    log = MetricsLog(tmp_path)
    log.begin()
    log.write(1, "train", values(1))
    log.close()
    (tmp_path / "metrics.jsonl").unlink()
    MetricsLog(tmp_path).begin()
    assert shown(tmp_path) == []


def test_a_run_killed_before_its_first_checkpoint_begins_anew_and_says_so(tmp_path):
    log = MetricsLog(tmp_path)
    log.begin()
    log.write(1, "train", values(1))
    log.close()
    with pytest.warns(UserWarning, match="ended at step 1, before its first checkpoint"):
        MetricsLog(tmp_path).begin()
    assert read_metrics(tmp_path) == [] and shown(tmp_path) == []


@pytest.mark.parametrize("evidence", ["a saved checkpoint", "a damaged one", "lost events"])
def test_a_run_whose_checkpoints_are_gone_is_never_begun_anew(run, evidence):
    folder, _ = run
    match = {"a saved checkpoint": "checkpoints/6 was saved, and is gone", "a damaged one": "found damaged"}
    if evidence == "a damaged one":
        (folder / "damaged" / "6").mkdir(parents=True)
    elif evidence == "lost events":
        (folder / EventWriter.FILE_NAME).unlink()
    before = (folder / "metrics.jsonl").read_bytes()
    for _ in range(2):
        with pytest.raises(RunError, match=match.get(evidence, "goes up to step 6, and the event file")):
            MetricsLog(folder).begin()
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_a_file_that_vanishes_while_it_is_written_ends_the_run(run):
    folder, saved = run
    log = MetricsLog(folder)
    log.resume(STEPS, 100, saved)
    log.write(7, "train", values(7))
    (folder / "metrics.jsonl").unlink()
    with pytest.raises(RunError, match=r"metrics.jsonl` cannot be written at step 8: No such file"):
        log.write(8, "train", values(8))
    (folder / "metrics.jsonl").write_text("")
    with pytest.raises(RunError, match="another file has taken its place"):
        log.write(8, "train", values(8))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux's")
def test_a_full_disk_is_said_once_and_keeps_no_lock(tmp_path):
    derived = derive(Config(), num_examples=1000, num_classes=10, num_devices=1)
    with (
        pytest.raises(RunError, match="cannot be written at step 1: No space left"),
        contextlib.closing(take_run(tmp_path, Config(), derived)) as writer,
    ):
        writer.start(0, None)
        (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
        writer.write(1, "train", values(1))
    FolderLock(tmp_path).release()
