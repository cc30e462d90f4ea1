"""A host on this machine that serves a folder, breaks off, and goes on from the middle of a file."""

import contextlib
import functools
import http.server
import threading


class Host(http.server.SimpleHTTPRequestHandler):
    """Its class says after how many bytes it breaks off, and whether it knows ranges.

    `asked` holds the range of each request, None for a whole file.
    """

    breaks_off_after = None
    knows_ranges = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.translate_path(self.path)
        self.asked.append(self.headers.get("Range"))
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            return self.send_error(404)
        start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if self.knows_ranges else 0
        if start >= len(content) > 0:
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.breaks_off_after])
        return None


@contextlib.contextmanager
def serving(folder):
    """The address of a folder, and the handler of what is asked of it."""
    handler = type("Here", (Host,), {"asked": list[str | None]()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()
