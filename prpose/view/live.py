"""A web server on this machine alone, for one page and a stream of messages to it."""

import hmac
import secrets
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prpose.view.page import Page

HOST = "127.0.0.1"
WAITING = 30  # messages that wait for a slow browser; older ones are dropped
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
BEAT_S = 15.0  # a comment is sent to a browser after this time without a message


class LiveServer(ThreadingHTTPServer):
    """Serves a page at an address with a random token, on 127.0.0.1; other hosts, origins and addresses are refused.

    Messages, JSON texts, are server-sent events at ``stream``, beside the page.
    """

    daemon_threads = True

    def __init__(self, page: Page, port: int = 0) -> None:
        super().__init__((HOST, port), _Handler)
        self.page, self.token = page.html.encode(), secrets.token_urlsafe(16)
        self.clients: list[_Client] = []
        self.lock, self.connected = threading.Lock(), threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves while it is answered is no error."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def send(self, text: bytes, kind: bytes = b"message") -> None:
        """Sends a message to every browser that shows the page; never waits for one."""
        with self.lock:
            for client in self.clients:
                client.messages.append(b"event: " + kind + b"\ndata: " + text + b"\n\n")
                client.ready.set()

    def close(self, timeout_s: float = 5.0) -> None:
        """Tells the browsers that the stream has ended, and waits until they know."""
        self.send(b"{}", b"end")
        with self.lock:
            clients = list(self.clients)
        for client in clients:
            client.ended.wait(timeout_s)


class _Client:
    def __init__(self) -> None:
        self.messages = deque[bytes](maxlen=WAITING)
        self.ready, self.ended = threading.Event(), threading.Event()


@contextmanager
def running(page: Page, port: int = 0) -> Iterator[LiveServer]:
    """A server in a thread of its own while the block runs; ``OSError`` if the port is taken."""
    with LiveServer(page, port) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.close()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer
    server_version, sys_version = "prpose", ""

    def do_GET(self) -> None:
        """The page, or its stream."""
        name = self.path.removeprefix("/").encode()
        token = self.server.token.encode()
        if not self._is_own():
            self.send_error(403)
        elif hmac.compare_digest(name, token + b"/"):
            self._head("text/html; charset=utf-8", len(self.server.page))
            self.wfile.write(self.server.page)
        elif hmac.compare_digest(name, token + b"/stream"):
            self._stream()
        else:
            self.send_error(404)

    def log_message(self, format: str, *values: object) -> None:
        """Nothing is printed."""

    def _is_own(self) -> bool:
        """Whether a request comes from the page itself, or from the user, not from another site in the same browser."""
        port = self.server.server_port
        hosts = [f"{name}:{port}" for name in (HOST, "localhost")] + ([HOST, "localhost"] if port == 80 else [])
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site", "none")
        is_same = origin is None or origin in [f"http://{host}" for host in hosts]
        return self.headers.get("Host") in hosts and is_same and site in ("none", "same-origin")

    def _head(self, kind: str, length: int | None = None) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": kind, **HEADERS}.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _stream(self) -> None:
        self._head("text/event-stream")
        client = _Client()
        with self.server.lock:
            self.server.clients.append(client)
        self.server.connected.set()
        try:
            while not client.ended.is_set():
                waiting = client.ready.wait(BEAT_S)
                client.ready.clear()
                while client.messages:
                    message = client.messages.popleft()
                    self.wfile.write(message)
                    if message.startswith(b"event: end"):
                        client.ended.set()
                if not waiting:
                    self.wfile.write(b": still here\n\n")
                self.wfile.flush()
        except OSError:  # the browser has left
            pass
        finally:
            client.ended.set()
            with self.server.lock:
                self.server.clients.remove(client)
