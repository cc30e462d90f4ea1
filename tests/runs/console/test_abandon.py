"""The process ends, whatever its threads and its output do."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("output", ["None", "open(os.devnull)", "type('Gone', (), {'flush': lambda s: 1 / 0})()"])
def test_an_output_that_cannot_be_flushed_keeps_no_process(output):
    code = (
        "import os, sys, threading, time\nfrom cnn_jax.runs.console import abandon\n"
        f"abandon.GRACE_SECONDS = 0.1\nsys.stdout = {output}\nif sys.stdout: getattr(sys.stdout, 'close', int)()\n"
        "abandon.end_with_main_thread()\nthreading.Thread(target=time.sleep, args=[30]).start()\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=20).returncode == 1
