"""Where gradio keeps what browsers upload, until it is taken from there."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from likeness.web.engine import Engine
from likeness.web.refusal import Refused
from likeness.web.uploads import Upload

LEFT_SECONDS = 600  # what no handler has taken by then was left behind by a browser that went away
FULL = "too many photos are arriving at once; try again in a few minutes"


def folder(engine: Engine) -> Path:
    """Gradio's cache: within the engine's folder, so that it goes with it."""
    return engine.folder / "gradio"


def keep_in(engine: Engine) -> None:
    """Let gradio use ``folder``. Its components ask for it when they are made, its routes whenever a file arrives."""
    folder(engine).mkdir(exist_ok=True)
    os.environ["GRADIO_TEMP_DIR"] = str(folder(engine))
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


def take_one(engine: Engine, path: str) -> Upload:
    """Give the engine a file that gradio has found to be one of its own uploads; delete gradio's copy.

    Raises Refused.
    """
    copy = Path(path)
    try:
        with copy.open("rb") as source:
            return engine.take(source, copy.name)
    except FileNotFoundError:  # equal files share a copy there, and somebody else's has just been taken
        raise Refused(404, f"{copy.name}: it was lost on its way; drop it again") from None
    finally:
        drop_copy(path)
        _sweep(folder(engine))


def take_all(engine: Engine, paths: list[str]) -> tuple[list[Upload], list[str]]:
    """The uploads, and a line for each file that was refused."""
    taken, refused = [], []
    for path in paths:
        try:
            taken.append(take_one(engine, path))
        except Refused as refusal:
            refused.append(refusal.message)
    return taken, refused


def drop_copy(path: str) -> None:
    """Delete gradio's copy of an upload."""
    Path(path).unlink(missing_ok=True)


def _sweep(cache: Path) -> None:
    """Gradio makes an empty file for each upload that it hands over, and forgets it."""
    for path in cache.glob("tmp*"):
        try:
            facts = path.stat()
            if facts.st_size == 0 and time.time() - facts.st_mtime > 60:
                path.unlink()
        except FileNotFoundError:  # by another thread
            continue


class Room:
    """ASGI middleware: uploads are refused (429) while more than ``limit`` bytes lie in gradio's cache untaken."""

    def __init__(self, app: ASGIApp, *, cache: Path, limit: int) -> None:
        self.app, self.cache, self.limit = app, cache, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on everything else."""
        if scope["type"] != "http" or scope["path"].rstrip("/") != "/gradio_api/upload" or self._bytes() <= self.limit:
            await self.app(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 429, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps({"error": FULL}).encode()})

    def _bytes(self) -> int:
        total = 0
        for path in self.cache.rglob("*"):
            try:
                total += path.stat().st_size
            except FileNotFoundError:  # just taken
                continue
        return total
