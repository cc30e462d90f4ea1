"""A headless Chromium, asked over its DevTools protocol: a pipe, so that neither a driver nor a port is needed."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = shutil.which("chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe"),
)

# The protocol is spoken at the descriptors 3 and 4.
_MOVED = """
import os, sys
for target, pipe in zip((3, 4), [os.dup(int(pipe)) for pipe in sys.argv[1:3]]):
    os.dup2(pipe, target)
    os.set_inheritable(target, True)  # which a copy onto itself does not become
os.execv(sys.argv[3], sys.argv[3:])
"""


class Chromium:
    """A context manager; `events` are those of its one page."""

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        ours, theirs = os.pipe(), os.pipe()  # what it reads, and what it writes

        start = [sys.executable, "-c", _MOVED, str(ours[0]), str(theirs[1])]
        command = [*start, PROGRAM, *FLAGS, f"--user-data-dir={self._folder.name}", "about:blank"]
        null, given = subprocess.DEVNULL, (ours[0], theirs[1])
        self._process = subprocess.Popen(command, pass_fds=given, stdin=null, stdout=null, stderr=null)
        os.close(ours[0]), os.close(theirs[1])
        self._to, self._from = os.fdopen(ours[1], "wb", 0), os.fdopen(theirs[0], "rb", 0)
        self._rest, self._number, self._session, self.events = b"", 0, None, []
        pages = [t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        attach = {"targetId": pages[0]["targetId"], "flatten": True}
        self._session = self.ask("Target.attachToTarget", **attach)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._to.close(), self._from.close()
        self._folder.cleanup()

    def ask(self, method, **parameters):
        """The result of a command; what else is told meanwhile goes to `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        self._to.write(json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._number:
                assert "error" not in told, told
                return told["result"]
            self.events.append(told)

    def _next(self):
        while b"\0" not in self._rest:
            more = self._from.read(1 << 16)
            assert more, "Chromium has ended"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, path, width, height=900):
        """Shows a file in a window of so many pixels, and waits until it is loaded."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=Path(path).resolve().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def run(self, script):
        """The value of an expression in the page, awaited where it is a promise."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def mouse(self, kind, x, y):
        """`mouseMoved`, `mousePressed` or `mouseReleased`, at pixels of the window."""
        button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)
