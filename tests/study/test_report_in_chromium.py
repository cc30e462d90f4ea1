"""The report of sixty runs as a browser shows it, on a desk and on a phone; `chromium` is Debian's."""

import re
import time

import pytest
from chromium import PROGRAM, Chromium
from synthetic_runs import write_study

import cnn_jax

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="there is no program `chromium` here"),
]

HOSTILE = "<img src=http://example.invalid/x onerror=alert(1)>".replace("/", "|")
ARMS = {
    "ReLU": {"model.options.activation": "relu"},
    "max pooling": {"model.options.pool": "max"},
    "batch 256": {"data.batch_size": 256},
    HOSTILE: {"optim.weight_decay": 1e-3},
    "ReLU and max pooling, as everybody has done since 2012": {
        "model.options.activation": "relu",
        "model.options.pool": "max",
    },
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sixty")
    question = "Which choices of 1998 still matter on small digits? </script><script>alert(2)</script>"
    study = write_study(folder, question, ARMS, (0.95, 0.97, 0.953, 0.93, 0.955, 0.975), seeds=10)
    return cnn_jax.report(study, folder / "report.html").file


@pytest.fixture(params=[1280, 390], ids=["desk", "phone"])
def shown(request, report):
    """The browser, with all charts drawn."""
    with Chromium() as browser:
        browser.open(report, request.param)
        browser.width = request.param
        undrawn = "[...document.querySelectorAll('[data-chart]')].filter(e => !e.querySelector('svg')).length"
        until = time.monotonic() + 60
        while browser.run(undrawn) and time.monotonic() < until:
            time.sleep(0.1)
        assert not browser.run(undrawn)
        yield browser
        told = [event["method"] for event in browser.events]
        assert not {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"} & set(told), browser.events
        asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
        assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]


def place_of(browser, element):
    """The middle of the first element of a selector, in pixels of the window, scrolled into it."""
    x, y = browser.run(
        f"""(() => {{
            const element = document.querySelector({element!r});
            element.scrollIntoView({{block: "center", behavior: "instant"}});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()"""
    )
    return x, y


def test_everything_fits_its_window(shown):
    assert shown.run("document.documentElement.scrollWidth") == shown.width
    shown.run("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert shown.run("document.documentElement.scrollWidth") == shown.width
    assert shown.run("document.querySelectorAll('main > section').length") == 10
    assert shown.run("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


def test_a_curve_is_read_out_where_one_points(shown):
    x, y = place_of(shown, "#curves .chart svg")
    for away in (0, 2, 4):
        shown.mouse("mouseMoved", x + away, y)
    until = time.monotonic() + 10
    while not (said := shown.run("document.querySelector('#vg-tooltip-element.visible')?.innerText")):
        assert time.monotonic() < until
        time.sleep(0.1)
    value = r"0\S* \(0\S* to 0\S*\)"
    assert re.fullmatch(rf"epoch\s*[\d.]+\s*step\s*\d+\s*arm\s*{value}\s*base\s*{value}\s*", said)


def test_the_confusion_of_another_arm_unfolds(shown):
    assert shown.run("document.querySelectorAll('#confusion details').length") == 6
    x, y = place_of(shown, "#confusion details:nth-of-type(4) summary")
    shown.mouse("mousePressed", x, y), shown.mouse("mouseReleased", x, y)
    width = "document.querySelector('#confusion details:nth-of-type(4) img').getBoundingClientRect().width"
    assert 300 < shown.run(width) <= 480


def test_what_is_folded_opens(shown):
    x, y = place_of(shown, "#runs summary")
    shown.mouse("mousePressed", x, y), shown.mouse("mouseReleased", x, y)
    assert shown.run("document.querySelector('#runs details').open")
    assert shown.run("document.querySelectorAll('#runs tbody tr').length") == 60


def test_the_name_of_an_arm_is_text_where_one_points_at_it(shown):
    points = "document.querySelectorAll('#forest .mark-symbol path')"
    place_of(shown, "#forest svg")
    x, y = shown.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({points}[3].getBoundingClientRect())")
    for away in (0, 1, 2):
        shown.mouse("mouseMoved", x + away, y)
    until = time.monotonic() + 10
    while HOSTILE not in (shown.run("document.querySelector('#vg-tooltip-element.visible')?.innerText") or ""):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not shown.run("document.querySelectorAll('img[onerror]').length")


def test_text_of_runs_runs_nothing(shown):
    assert shown.run("document.title").endswith("</script><script>alert(2)</script>")
    assert shown.run("document.querySelectorAll('script').length") == 2
    blocked = shown.run(
        """new Promise(done => {
            document.addEventListener("securitypolicyviolation", event => done(event.violatedDirective));
            const script = document.createElement("script");
            script.textContent = "window.intruded = true";
            document.body.append(script);
            setTimeout(() => done("nothing"), 2000);
        })"""
    )
    assert blocked == "script-src-elem" and not shown.run("window.intruded === true")
    shown.events[:] = [event for event in shown.events if "Content Security Policy" not in str(event)]
