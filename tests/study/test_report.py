"""A report shows the numbers of the table, nothing before its time, and text of strangers as text."""

import base64
import csv
import dataclasses
import hashlib
import html.parser
import json
import re
import shutil
import sys

import numpy as np
import pytest
from synthetic_runs import write_run, write_study

import cnn_jax
from cnn_jax.cli import main
from cnn_jax.runs.folder.predictions import Predictions
from cnn_jax.runs.folder.stored import RunError
from cnn_jax.study.ablation import load_study
from cnn_jax.study.predicted import read_predicted, right
from cnn_jax.study.report import figures
from cnn_jax.study.report.formats import latex_text
from cnn_jax.study.report.subject import find_subject
from cnn_jax.study.table import cells, compare, markdown

HOSTILE = "<img src=x onerror=alert(1)> & x_1"
ARMS = {HOSTILE: {"model.options.activation": "relu"}}
QUESTION = "Why </script><script>alert(2)?"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("whole"), QUESTION, ARMS, (0.9, 0.97), seeds=6)


@pytest.fixture
def study(whole, tmp_path):
    shutil.copytree(whole.parent, tmp_path / "copy")
    return tmp_path / "copy" / "study"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Of folders, but for the library: its bundle takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vl_convert.javascript_bundle", lambda script, vl_version: f"/* library */ {script}")

        def make(*folders):
            out = tmp_path_factory.mktemp("page") / "report.html"
            return Page(cnn_jax.report(folders, out).file.read_text())

        yield make


@pytest.fixture(scope="module")
def made(whole, page):
    """The page of the whole study."""
    return page(whole)


class Page(html.parser.HTMLParser):
    """The text and the tags of a page, as a browser takes them."""

    def __init__(self, content):
        super().__init__()
        self.content, self.said, self.tags, self.scripts, self._inside = content, "", [], [], None
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = tag
        self.scripts += [""] if tag == "script" else []

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.said += f" {data}"


def table_of(subject):
    """By the functions that `ablate` uses."""
    folders = {(arm, run.seed): run.folder for arm, runs in subject.arms.items() for run in runs}
    return compare({arm: subject.values(arm) for arm in subject.arms}, right(read_predicted(folders), "top1"))


def test_the_page_has_the_numbers_of_the_table(whole, made):
    subject = find_subject([whole])
    rows = table_of(subject)
    for row in cells(rows, "top1"):
        for cell in row:
            assert re.sub(r"(?<!\w)-(?=\d)", "−", cell) in made.said
    assert rows[1].decided and "higher" in made.said
    (chart, *_) = json.loads(made.scripts[0])
    found = {p["arm"]: (p["difference"], p["low"], p["high"]) for p in chart["data"]["values"]}
    assert list(found) == [HOSTILE]
    np.testing.assert_allclose(found[HOSTILE], [100 * value for value in rows[1].difference])


def test_text_of_runs_stays_text(made):
    tags = [tag for tag, _ in made.tags]
    assert tags.count("script") == 2 and QUESTION in made.said and HOSTILE in made.said
    assert not [a for _, a in made.tags if any(name.startswith("on") for name in a)]
    assert HOSTILE not in made.content and "alert(2)" not in "".join(made.scripts)


def test_the_page_loads_nothing(made):
    addresses = [v for _, a in made.tags for k, v in a.items() if k in ("src", "href", "action", "srcset")]
    assert len(addresses) > 12 and all(address.startswith(("data:", "#")) for address in addresses)


def test_only_its_own_script_may_run(made):
    (policy,) = [a["content"] for _, a in made.tags if a.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(made.scripts[1].encode()).digest()).decode()
    assert policy.startswith("default-src 'none';") and policy.endswith(f"script-src 'sha256-{digest}'")


def test_a_study_that_is_not_done_shows_no_test_figure(study, page, capsys):
    test = find_subject([study]).runs[0].test["top1"]
    shutil.rmtree(study / "base" / "seed-5")
    made = page(study)
    assert "Not done yet" in made.said and "11 finished, 1 waiting" in made.said
    assert f"{100 * test:.2f}" not in made.content and "verdict" not in {a.get("class") for _, a in made.tags}
    assert "Training loss" in made.said
    assert main(["report", str(study), "--format", "csv", "--out", str(study / "t.csv")]) == 1
    assert "not all runs of choices are done (11 finished, 1 waiting)" in capsys.readouterr().err


def test_runs_that_cannot_be_read_are_named_and_left_out(study, page):
    for seed in range(6):
        path = study / "base" / f"seed-{seed}" / "config.json"
        path.write_text(path.read_text()[:-30])
        if seed == 0:
            one = page(study).said
            assert "1 of 12 runs failed" in one and "cannot be read as a run's configuration" in one
            assert "not decidable at n = 5; needs 6" in one
    assert "6 of 12 runs failed" in page(study).said


def test_runs_that_never_look_at_test_are_not_compared(study, page, tmp_path):
    for run in find_subject([study / "base"]).runs:
        config = dataclasses.replace(run.run.config, train=dataclasses.replace(run.run.config.train, test="never"))
        write_run(tmp_path / "runs" / f"seed-{run.seed}", config, 0.9, finished=False)
    assert "No run has looked at its test split" in page(tmp_path / "runs").said
    with pytest.raises(RunError, match="no run of runs has a figure of the test split"):
        cnn_jax.report(tmp_path / "runs", tmp_path / "t.csv", format="csv")


def test_a_run_of_another_experiment_is_stale(study):
    config = load_study(study.parent / "choices.py").configs[HOSTILE, 0]
    shutil.rmtree(study / "base" / "seed-0")
    write_run(study / "base" / "seed-0", config, 0.9)
    (run, *_) = find_subject([study]).arms["base"]
    assert run.state == "stale" and "model.options.activation: 'relu' there" in run.why and run.test is None


def test_a_table_for_a_paper_has_the_same_numbers(study, tmp_path):
    subject = find_subject([study])
    rows = table_of(subject)
    for form in ("markdown", "latex", "csv"):
        cnn_jax.report(study, tmp_path / form, format=form)
    assert markdown(rows, "top1") in (tmp_path / "markdown").read_text()
    lines = list(csv.DictReader((tmp_path / "csv").read_text().splitlines()))
    assert [float(line["mean"]) for line in lines] == [row.mean.mean for row in rows]
    assert [float(line["difference_low"]) for line in lines[1:]] == [row.difference.low for row in rows[1:]]
    assert [line["mean_of_all_low"] for line in lines] == [str(row.of_all.low) if row.of_all else "" for row in rows]
    tex = (tmp_path / "latex").read_text()
    columns = re.search(r"begin\{tabular\}\{([lr]+)\}", tex)[1]
    assert all(line.count(" & ") == len(columns) - 1 for line in tex.splitlines() if line.endswith(r"\\"))
    assert r"\textless{}img src=x onerror=alert(1)\textgreater{} \& x\_1 & 6 &" in tex and tex.count(r"\\") == 3


def test_latex_gets_no_command_out_of_a_name():
    assert latex_text("\\input{x} 5 % ~ ^\n") == r"\textbackslash{}input\{x\} 5 \% \textasciitilde{} \textasciicircum{}"


def test_runs_that_are_no_study_are_arms_by_all_but_their_seed(study, page):
    subject = find_subject([study / HOSTILE, study / "base"])
    assert list(subject.arms) == ["activation=relu", "activation=tanh"] and not subject.is_study
    assert [[run.seed for run in runs] for runs in subject.arms.values()] == [list(range(6))] * 2
    made = page(study / "base" / "seed-1", study / HOSTILE / "seed-1")
    assert "These runs are no study" in made.said and "not decidable at n = 1; needs 6" in made.said


def test_one_run_is_a_page_of_its_own(study, page):
    made = page(study / "base" / "seed-2")
    assert "What does the run seed-2 show?" in made.said and "Mistakes" in made.said
    assert "Differences to the base" not in made.said


def test_two_runs_of_one_seed_are_refused(study):
    shutil.copytree(study / "base" / "seed-2", study / "base" / "copy")
    with pytest.raises(RunError, match="are one experiment but for their seeds, and some have the same `seed`"):
        find_subject([study / "base"])


def test_a_folder_without_runs_is_a_sentence(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "no run lies in or below" in capsys.readouterr().err


def test_without_the_extra_a_sentence_says_what_to_install(study, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    monkeypatch.delitem(sys.modules, "cnn_jax.study.report.charts", raising=False)
    monkeypatch.delitem(sys.modules, "cnn_jax.study.report.page", raising=False)
    monkeypatch.delattr("cnn_jax.study.report.charts", raising=False)
    monkeypatch.delattr("cnn_jax.study.report.page", raising=False)
    with pytest.raises(RuntimeError, match=r"needs altair; install it with `pip install 'cnn-jax\[report\]'`"):
        cnn_jax.report(study, tmp_path / "report.html")


def predicted(*classes):
    """Three examples of the classes 0, 1 and 1."""
    classes = np.array(classes, np.int32)
    table = np.stack([classes, (classes + 1) % 3], 1)
    probabilities = np.tile(np.float32([0.6, 0.3]), (3, 1))
    return Predictions(np.arange(3, dtype=np.int32), np.int32([0, 1, 1]), table, probabilities)


def test_examples_are_counted_over_the_seeds():
    base, arm = {0: predicted(0, 1, 2), 1: predicted(0, 1, 1)}, {0: predicted(1, 1, 1), 1: predicted(0, 1, 1)}
    assert figures.confusion(base, 3).tolist() == [[2, 0, 0], [0, 3, 1], [0, 0, 0]]
    assert figures.told_apart(base, arm, 5) == ([0], [2])
    assert figures.surest_mistakes(base, 5) == [2]
    assert figures.calibration(base).ece == pytest.approx(abs(5 / 6 - 0.6))  # all are as sure, and five of six right


def test_a_curve_is_the_mean_and_the_range_over_seeds(study):
    runs = find_subject([study]).arms["base"]
    last = figures.curve(runs, "validation", "top1")[-1]
    values = [[line for line in run.lines if line["split"] == "validation"][-1]["top1"] for run in runs]
    assert (last.low, last.high) == (min(values), max(values)) and last.mean == pytest.approx(np.mean(values))
    assert last.epoch == pytest.approx(5, abs=0.05)
