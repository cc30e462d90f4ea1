"""What a document points at is there: files, headings, and the paths in its code."""

import re

import pytest
from documents import DOCUMENTS, ROOT, blocks, name

documents = pytest.mark.parametrize("path", DOCUMENTS, ids=name)


def headings(path):
    """The anchors that GitHub makes of a document's headings."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"[^\w\- ]", "", line.lower()) for line in re.findall(r"^#+ (.*)", text, re.MULTILINE)]
    return {line.replace(" ", "-") for line in lines}


def broken_links(path):
    """The targets of relative links that are no file, or no heading of it."""
    found = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    broken = []
    for target in found:
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.is_relative_to(ROOT) or not there.exists() or (anchor and anchor not in headings(there)):
            broken.append(target)
    return broken


@documents
def test_links_lead_to_files_and_headings(path):
    assert not broken_links(path)


def test_a_broken_link_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("test_links.ROOT", tmp_path)
    path = tmp_path / "page.md"
    path.write_text("# A `first` heading, 2\n[a](page.md#a-first-heading-2) [b](none.md) [c](#none) [d](../out.md)")
    assert broken_links(path) == ["none.md", "#none", "../out.md"]


@documents
def test_paths_in_code_exist(path):
    code = "\n".join([*blocks(path), *re.findall(r"`([^`\n]+)`", path.read_text(encoding="utf-8"))])
    found = set(re.findall(r"\b(?:experiments|tests|cnn_jax)(?:/[a-z_]\w*)+(?:\.\w+)?", code))
    assert not [target for target in found if not (ROOT / target).exists()]


def test_every_document_can_be_reached_from_the_readme():
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page.suffix == ".md" and page not in seen:
            seen.add(page)
            links = re.findall(r"\]\(([^)#\s:]+)", page.read_text(encoding="utf-8"))
            waiting += [page.parent / link for link in links]
    assert {path for path in DOCUMENTS if path.parts[len(ROOT.parts)] != ".github"} <= seen
