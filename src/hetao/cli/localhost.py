"""A page on this machine for one answer, under an address that is drawn at random.

Every account of a machine can ask its ports. So the page lies at no path that another
account could know, which is also all that says that an answer comes from the page.
"""

import contextlib
import errno
import html
import json
import secrets
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from hetao.errors import BadSignature, HetaoError, Usage

LARGEST: Final = 64 * 2**10  # bytes of an answer
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Desk(ThreadingHTTPServer):
    """Shows a page at the origin of a key until an answer was taken."""

    daemon_threads = True  # a browser keeps a connection open that it does not use

    def __init__(self, origin: str, page: str, take: Callable[[object], str]) -> None:
        """Listen on this machine only.

        Args:
            origin: `http://localhost:PORT`.
            page: what is shown, and hands its answer in where it came from.
            take: takes an answer and returns what to say; refuses by raising.

        Raises:
            Usage: the origin is not this machine, or its port is in use.
        """
        port = _port_here(origin)
        self.origin, self.page, self.take = origin, page, take
        self.path = "/" + secrets.token_urlsafe(24)
        self._lock, self._is_done = threading.RLock(), False
        self._open: set[socket.socket] = set()
        self._other: socket.socket | None = None
        try:
            super().__init__(("127.0.0.1", port), _Request)
            self._other = _held(self.server_address[1])
        except OSError as error:
            if hasattr(self, "socket"):
                self.server_close()
            raise Usage(
                f"{origin} cannot be opened: {error.strerror}",
                fix="end what uses that port",
            ) from error

    def server_close(self) -> None:
        """Let the port go, and whoever is connected and has asked nothing yet.

        A browser connects ahead of need. Such a connection would show this page, with
        a word that nobody takes any more, when the next command's page is meant.
        """
        super().server_close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        if self._other is not None:
            self._other.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own, and know of it."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that was answered."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    @property
    def address(self) -> str:
        """Return where the page is, which only the person who asked is told."""
        return self.origin + self.path

    def wait(self) -> None:
        """Serve until an answer was taken."""
        self.serve_forever(poll_interval=0.05)

    def answer(self, given: object) -> str:
        """Take one answer, and no other after it.

        Raises:
            HetaoError: it is refused or cannot be kept, and another one may come.
        """
        with self._lock:
            if self._is_done:
                raise BadSignature("an answer was taken already")
            said = self.take(given)
            self._is_done = True
            return said


def _port_here(origin: str) -> int:
    """Return the port of an origin of this machine.

    Raises:
        Usage: it is none.
    """
    try:
        parts = urlsplit(origin)
        if parts.hostname == "localhost" and parts.scheme == "http":
            return 80 if parts.port is None else parts.port
    except ValueError as error:
        raise Usage(f"{origin} has no port that can be") from error
    raise Usage(
        f"{origin} is not a page of this machine",
        fix="write the page with --page, put it there, and hand in the answer "
        "with `hetao permit passkey take`",
    )


def _held(port: int) -> socket.socket | None:
    """Return the port of IPv6, bound and deaf, where the machine has IPv6.

    A browser may try `::1` first; it finds nobody there, and so nobody else.
    """
    found: socket.socket | None = None
    try:
        found = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        found.bind(("::1", port))
    except OSError as error:
        if found is not None:
            found.close()
        if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            return None
        raise
    return found


class _Request(BaseHTTPRequestHandler):
    server: Desk
    timeout = 30

    def do_GET(self) -> None:
        """Show the page to whoever knows its address, and nothing to anybody else."""
        if not self._is_ours():
            return self._say(404, "", "text/plain")
        return self._say(200, self.server.page, "text/html")

    def do_POST(self) -> None:
        """Take an answer from the page itself; another page does not know its path."""
        if not self._is_ours() or self.headers.get("Origin") != self.server.origin:
            return self._say(403, "", "text/plain")
        try:
            said = self.server.answer(self._body())
        except HetaoError as error:
            return self._say(403, str(error), "text/plain")
        self._say(200, said, "text/plain")
        return self.server.shutdown()  # which is served by another thread

    def _is_ours(self) -> bool:
        """Return whether we were asked by this machine's name, at the page's path."""
        host = self.headers.get("Host", "")
        known = secrets.compare_digest(self.path.encode(), self.server.path.encode())
        return known and f"http://{host}" == self.server.origin

    def _body(self) -> object:
        length = self.headers.get("Content-Length", "")
        is_short = length.isascii() and length.isdigit() and len(length) <= 9
        if not is_short or int(length) > LARGEST:
            raise BadSignature("the answer of a signing page is too large")
        try:
            return json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise BadSignature("the answer of a signing page is not JSON") from error

    def _say(self, status: int, text: str, kind: str) -> None:
        data = text.encode(errors="backslashreplace")  # a sentence may quote anything
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing; the person reads the page."""


def ask_here(
    origin: str,
    page: str,
    take: Callable[[object], str],
    tell: Callable[[str], None],
    *,
    opens: bool = True,
) -> None:
    """Show a page in this machine's browser and wait for its answer.

    Raises:
        Usage: the origin is not this machine, or its port is in use.
    """
    with Desk(origin, page, take) as desk, _way_to(desk.address) as way:
        tell(f"open {desk.address} in a browser of this machine, and no other address")
        if opens:
            webbrowser.open(way)
        desk.wait()


@contextlib.contextmanager
def _way_to(address: str) -> Iterator[str]:
    """Give the address of a file, for this account alone, that leads to an address.

    The words with which a browser is started are shown to every account of a machine.
    """
    to = html.escape(address)
    with tempfile.TemporaryDirectory(prefix="hetao-") as folder:  # mode 0700
        path = Path(folder) / "sign.html"
        path.write_text(
            '<!doctype html><meta charset="utf-8"><meta name="referrer" '
            f'content="no-referrer"><meta http-equiv="refresh" content="0; url={to}">'
            f'<a href="{to}">{to}</a>\n',
            encoding="utf-8",
        )
        yield path.as_uri()
