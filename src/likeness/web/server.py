"""The server: guard, API and studio before one engine."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable

from fastapi import FastAPI

from likeness import __version__
from likeness.web.api import add_api
from likeness.web.engine import Engine
from likeness.web.guard import Guard

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def make_app(
    engine: Engine, *, password: str | None = None, hosts: frozenset[str] | None = LOOPBACK, studio: bool = True
) -> FastAPI:
    """The ASGI application. ``hosts`` and ``password`` as in ``Guard``; without ``studio`` the API alone."""
    app = FastAPI(
        title="Likeness", version=__version__, openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None
    )
    add_api(app, engine)
    if studio:
        from likeness.web.studio import mount

        mount(app, engine)
    limit = engine.limits.request_bytes
    app.add_middleware(Guard, body_bytes=limit, hosts=hosts, password=password, room=engine.jobs.room)
    return app


def names_of(host: str) -> frozenset[str] | None:
    """The names under which a server bound to ``host`` may be called: any when it is bound to all addresses."""
    if host in LOOPBACK:
        return LOOPBACK
    return None if host in ("0.0.0.0", "::", "") else frozenset({host.lower()}) | LOOPBACK


def _no_farewells(record: logging.LogRecord) -> bool:
    """Whether a line of the log is worth showing: that an open page was cut off at the end is not."""
    kind = record.exc_info[0] if record.exc_info else None
    ended = kind is not None and issubclass(kind, asyncio.CancelledError)
    return not ended and "graceful shutdown" not in record.getMessage()


def serve(app: FastAPI, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; ``ready(address)`` is called once it listens. Port 0: a free one.

    For the main thread only. Raises OSError.
    """
    import uvicorn

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/"

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready(address)

    logging.getLogger("uvicorn.error").addFilter(_no_farewells)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, limit_concurrency=256, timeout_keep_alive=20,
        timeout_graceful_shutdown=3, ws="none",
        server_header=False,
    )  # fmt: skip
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # else it ends us before we have cleaned up
    try:
        Server(config).run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn gives the signal back when it has stopped
        return
    finally:
        signal.signal(signal.SIGTERM, before)
        listening.close()
