"""A real HTTP server on loopback that gives files, and can misbehave in each way that servers do."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Behaviour:
    """How one path answers.

    ``drop_after``: after so many bytes of each answer the connection is cut, while ``drops`` lasts; ``etag``: the
    validator, None for none; ``ranges``: whether a range is honoured; ``length``: whether Content-Length is sent;
    ``status``: instead of 200, while ``failures`` lasts; ``location``: a redirect; ``content_encoding``, ``type``:
    headers; ``delay``: seconds between blocks of 50,000 bytes; ``silence``: seconds before the first.
    """

    data: bytes
    drop_after: int | None = None
    drops: int = 1_000_000
    etag: str | None = '"1"'
    ranges: bool = True
    length: bool = True
    status: int = 200
    failures: int = 1_000_000
    location: str | None = None
    content_encoding: str | None = None
    type: str = "application/octet-stream"
    delay: float = 0.0
    silence: float = 0.0


@dataclass
class Server:
    """``files[path]`` is what is served; ``seen`` are the requests, as (path, Range header or None)."""

    url: str
    files: dict[str, Behaviour] = field(default_factory=dict)
    seen: list[tuple[str, str | None]] = field(default_factory=list)

    def give(self, name: str, data: bytes, **how: Any) -> str:
        """Serve ``data`` at ``/name``; returns the address."""
        self.files[f"/{name}"] = Behaviour(data, **how)
        return f"{self.url}/{name}"


@contextmanager
def serving() -> Iterator[Server]:
    """A running server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            server.seen.append((self.path, self.headers["Range"]))
            answer = server.files.get(self.path)
            if answer is None:
                self.send_error(404)
                return
            threading.Event().wait(answer.silence)
            if answer.location:
                self._head(302, b"", Location=answer.location)
                return
            if answer.status != 200 and answer.failures > 0:
                answer.failures -= 1
                self._head(answer.status, b"", **{"Retry-After": "0"})
                return
            self._send(answer)

        def _send(self, answer: Behaviour) -> None:
            data, status, headers = answer.data, 200, {"Content-Type": answer.type}
            asked = self.headers["Range"]
            same = self.headers["If-Range"] in (None, answer.etag)
            if asked and answer.ranges and same:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(data):
                    self._head(416, b"", **{"Content-Range": f"bytes */{len(data)}"})
                    return
                status = 206
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
                data = data[start:]
            if answer.etag:
                headers["ETag"] = answer.etag
            if answer.content_encoding:
                headers["Content-Encoding"] = answer.content_encoding
            cut = answer.drop_after is not None and answer.drops > 0 and answer.drop_after < len(data)
            body = data[: answer.drop_after] if cut else data
            if cut:
                answer.drops -= 1
            self._head(status, body, len(data) if answer.length else None, answer.delay, **headers)
            if cut or not answer.length:
                self.close_connection = True

        def _head(self, status: int, body: bytes, length: int | None = 0, delay: float = 0.0, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if length is not None:
                self.send_header("Content-Length", str(length))
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            try:
                for at in range(0, len(body), 50_000):
                    self.wfile.write(body[at : at + 50_000])
                    if delay:
                        threading.Event().wait(delay)
            except (BrokenPipeError, ConnectionResetError):  # the client had enough
                self.close_connection = True

    class Listener(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that hangs up is no matter."""

    listener = Listener(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{listener.server_port}")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


DATA = bytes(range(256)) * 1200  # 307,200 bytes that are no web page


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def names_below(folder: Path) -> set[str]:
    """Relative names of all files below, but for the empty locks."""
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"}
