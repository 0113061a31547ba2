"""The page on an application, and gradio's settings."""

from __future__ import annotations

from importlib import resources

import gradio as gr
from fastapi import FastAPI

from likeness.web.engine import Engine
from likeness.web.studio.cache import Room, folder
from likeness.web.studio.page import build
from likeness.web.studio.theme import theme


def mount(app: FastAPI, engine: Engine) -> FastAPI:
    """Put the studio at "/" of ``app``; the API, from which it shows pictures, must be on it. Returns ``app``."""
    blocks = build(engine)
    app.add_middleware(Room, cache=folder(engine), limit=engine.limits.request_bytes)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        server_name="127.0.0.1",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=True,
        max_file_size=engine.limits.upload_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        css=_asset("style.css"),
        head=f'<link rel="icon" href="data:,"><script>{_asset("studio.js")}</script>',
    )
    return app


def _asset(name: str) -> str:
    return resources.files("likeness.web.studio").joinpath(name).read_text(encoding="utf-8")
