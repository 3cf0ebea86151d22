"""A server on this machine that serves files correctly, or with chosen faults."""

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves `files` by name, in whatever folder they are asked for: bytes, or anything like it."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.knows_ranges = True
        self.has_tags = True
        self.weak_tags = False
        self.says_length = True
        self.cuts: list[int] = []  # bytes of the body after which each answer breaks off
        self.statuses: list[int] = []  # of the next answers; 0 serves the file
        self.stalls = 0.0  # seconds before the last byte of each answer
        self.leads_to: str | None = None  # an address for every answer
        self.shift = 0  # of where a range begins
        self.asked: list[str | None] = []  # Range of each request
        self.url = f"http://127.0.0.1:{self.server_port}/models"
        self._tags: dict[int, tuple[bytes, str]] = {}

    def tag(self, content: bytes) -> str:
        """An ETag that follows from the content."""
        if id(content) not in self._tags:
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            self._tags[id(content)] = (content, tag)
        return self._tags[id(content)][1]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        content = server.files.get(self.path.rpartition("/")[2])
        if server.statuses and (status := server.statuses.pop(0)):
            return self.send_error(status)
        if content is None:
            return self.send_error(404)
        if server.leads_to:
            self.send_response(302)
            self.send_header("Location", server.leads_to)
            return self.end_headers()
        tag = server.tag(content)
        start = self._start(tag)
        if start >= len(content) and start:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            start += server.shift
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.says_length:
            self.send_header("Content-Length", str(len(content) - start))
        if server.has_tags:
            self.send_header("ETag", "W/" * server.weak_tags + tag)
        self.end_headers()
        end = start + server.cuts.pop(0) if server.cuts else len(content)
        with contextlib.suppress(ConnectionError):
            for at in range(start, end - 1, 2**20):
                self.wfile.write(content[at : min(at + 2**20, end - 1)])
            time.sleep(server.stalls)
            self.wfile.write(content[max(start, end - 1) : end])

    def _start(self, tag: str) -> int:
        wanted, only_if = self.headers.get("Range"), self.headers.get("If-Range")
        if not wanted or not self.server.knows_ranges or only_if not in (None, tag):
            return 0
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """A server that is at work."""
    server = Server(files)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
