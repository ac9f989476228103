"""Where alerts go in tests: an HTTP server in a thread, which answers as it is told."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATH = "/services/T0SECRET/B0SECRET/x7Jq9secret"


class Receiver:
    """What came, and what is answered."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.posts: list[dict[str, str]] = []
        """Everything that was posted, taken or not."""
        self.answers: list[int] = []
        """Statuses of the next answers; then 200. 0: none before the test is over."""
        self.over = threading.Event()

    @property
    def texts(self) -> list[str]:
        return [post["text"] for post in self.posts]


@contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == PATH
            assert self.headers["Content-Type"] == "application/json"
            receiver.posts.append(json.loads(body))
            status = receiver.answers.pop(0) if receiver.answers else 200
            if not status:
                receiver.over.wait(60)
                return
            self.send_response(status)
            if status == 302:
                self.send_header("Location", receiver.url)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    receiver = Receiver(f"{scheme}://localhost:{server.server_port}{PATH}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
