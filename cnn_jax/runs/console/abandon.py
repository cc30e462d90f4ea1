"""An end for a process whose threads do not end: Orbax's wait five minutes for a save that has failed."""

import contextlib
import os
import sys
import threading
import time

GRACE_SECONDS = 5


def end_with_main_thread() -> None:
    """From now on the process ends, with status 1, `GRACE_SECONDS` after its main thread at the latest."""

    def end() -> None:
        threading.main_thread().join()
        time.sleep(GRACE_SECONDS)
        with contextlib.suppress(Exception):  # its reader has gone, or there is none
            sys.stdout.flush()
        os._exit(1)

    threading.Thread(target=end, name="end_with_main_thread", daemon=True).start()
