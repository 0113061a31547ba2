"""What stands before the studio and the API: who may ask, from where, how much at once.

Pure ASGI middleware, so that a body is counted while it streams in.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from likeness.web.refusal import Refused

API = "/api/v1/"
# The routes of gradio that the studio needs. All its others (proxies, its own API, code assistants) do not exist here.
GRADIO = re.compile(
    r"/(config|theme\.css|favicon\.ico|manifest\.json|pwa_icon(/\d+)?|robots\.txt)?$"
    r"|/(assets|static|svelte|custom_component)/"
    r"|/gradio_api/(queue/join|queue/data|upload|upload_progress|heartbeat/\w+|startup-events|app_id|cancel|reset/?)$"
    r"|/gradio_api/(file=|info)"
)
BODIES = 8  # requests with a body that are read at once; the others wait
IDLE_SECONDS = 60.0  # for the next piece of a body
MESSAGE_BYTES = 4 * 2**20  # of a studio's message; pictures are uploads, not messages
ADDRESS = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:")  # http:, file:, data: and their like
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",  # nothing is fetched from, or sent to, anywhere else
        b"default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
        b"style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'; "
        b"object-src 'none'",
    ),
)


class Guard:
    """``body_bytes``: limit of one request. ``hosts``: the names under which this server may be called, None for any
    (else a page elsewhere could reach a server on loopback by a name of its own). ``password``: by HTTP's basic
    authentication, whatever the user's name; None for none. ``room()`` raises Refused when no job can be taken
    now: it is asked before a job's photos are received.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        body_bytes: int,
        hosts: frozenset[str] | None = None,
        password: str | None = None,
        room: Callable[[], None] = lambda: None,
    ) -> None:
        self.app, self.body_bytes, self.hosts, self.room = app, body_bytes, hosts, room
        self.password = None if password is None else password.encode()
        self.bodies = asyncio.Semaphore(BODIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is allowed, answer the rest: 400, 401, 403, 404, 413."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no part of this speaks websocket
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        await self._limited(scope, receive, send, headers)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self.hosts is not None and _name(host) not in self.hosts:
            return 403, f"this server is not called {_name(host)!r}"
        if self.password is not None and not self._knows(headers.get("authorization", "")):
            return 401, "a password is needed"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host and scope["method"] not in ("GET", "HEAD"):
            return 403, "requests from pages of another site are refused"
        path = scope["path"]
        if not path.startswith(API) and not GRADIO.match(path):
            return 404, "there is nothing here"
        if path == API + "restore":
            try:
                self.room()
            except Refused as refusal:
                return refusal.status, refusal.message
        return None

    def _knows(self, authorization: str) -> bool:
        kind, _, text = authorization.partition(" ")
        if kind.lower() != "basic" or self.password is None:
            return False
        try:
            given = base64.b64decode(text, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
        return secrets.compare_digest(given, self.password)

    async def _limited(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]) -> None:
        message = scope["method"] == "POST" and scope["path"] == "/gradio_api/queue/join"
        limit = MESSAGE_BYTES if message else self.body_bytes
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            await _answer(send, 413, _too_much(limit))
            return
        body = _Body(receive, limit, self.bodies)
        answer = _Dressed(send)
        try:
            if message and _names_an_address(await body.whole()):
                await _answer(send, 400, "photos are uploaded, not named: addresses are never opened")
                return
            await self.app(scope, body.receive, answer.send)
        except HTTPException as problem:  # of the body, where the application did not answer it
            if answer.started:
                raise
            await _answer(send, problem.status_code, str(problem.detail))
        finally:
            body.close()


class _Body:
    """A request's body on its way in: counted, and one of a few at a time."""

    def __init__(self, receive: Receive, limit: int, turns: asyncio.Semaphore) -> None:
        self._receive, self._limit, self._turns = receive, limit, turns
        self._seen, self._more, self._mine = 0, True, False
        self._again: bytes | None = None

    async def receive(self) -> Message:
        """The next message. Raises HTTPException (408, 413), which FastAPI passes on as it is."""
        if self._again is not None:
            body, self._again = self._again, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self._more:  # what follows is only that the client leaves
            return await self._receive()
        if not self._mine:
            await self._turns.acquire()
            self._mine = True
        try:
            one = await asyncio.wait_for(self._receive(), IDLE_SECONDS)
        except TimeoutError:
            raise HTTPException(408, f"nothing came for {IDLE_SECONDS:g} seconds") from None
        self._seen += len(one.get("body", b""))
        self._more = bool(one.get("more_body", False))
        if not self._more:
            self.close()
        if self._seen > self._limit:
            raise HTTPException(413, _too_much(self._limit))
        return one

    async def whole(self) -> bytes:
        """All of it; ``receive`` gives it once more."""
        parts = []
        while self._more:
            parts.append((await self.receive()).get("body", b""))
        self._again = b"".join(parts)
        return self._again

    def close(self) -> None:
        """Let the next one read."""
        if self._mine:
            self._mine = False
            self._turns.release()


class _Dressed:
    """``send`` with our headers; ``started``: whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send, self.started = send, False

    async def send(self, one: Message) -> None:
        """Pass it on."""
        if one["type"] == "http.response.start":
            self.started = True
            names = {name for name, _ in HEADERS}
            one["headers"] = [h for h in one.get("headers", ()) if h[0].lower() not in names] + list(HEADERS)
            if one["status"] in (408, 413):  # there is more to come that nobody will read
                one["headers"].append((b"connection", b"close"))
        await self._send(one)


def _names_an_address(body: bytes) -> bool:
    """Whether a message of the studio's page names a file by an address: gradio would fetch it."""
    try:
        return _any_address(json.loads(body))
    except (ValueError, RecursionError):
        return True  # no message that the page sends


def _any_address(value: Any) -> bool:
    if isinstance(value, dict):
        path = value.get("path")
        if isinstance(path, str) and ADDRESS.match(path.strip()) and not re.match(r"^[a-zA-Z]:[\\/]", path):
            return True
        return any(_any_address(one) for one in value.values())
    return isinstance(value, list) and any(_any_address(one) for one in value)


def _name(host: str) -> str:
    """``[::1]:7860`` -> ``::1``; ``Photos.local:80`` -> ``photos.local``."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


async def _answer(send: Send, status: int, problem: str) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close"), *HEADERS]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="Likeness", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": problem}).encode()})


def _too_much(limit: int) -> str:
    return f"the request is larger than the limit of {limit / 2**20:g} MiB"
