"""``likeness web``"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from likeness.cli.say import note, plain_errors, stop

PASSWORD = "LIKENESS_PASSWORD"


def web(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every computer of the network.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 7860,
    password: Annotated[
        bool, typer.Option("--password", help=f"Ask for a password: the variable {PASSWORD}, or typed now.")
    ] = False,
    api_only: Annotated[bool, typer.Option("--api-only", help="The HTTP API without the studio.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16")] = "auto",
    max_upload: Annotated[float, typer.Option(help="MiB of one file.", min=0.01)] = 64.0,
    max_photos: Annotated[int, typer.Option(help="Photos in one job.", min=1)] = 50,
    max_pixels: Annotated[float, typer.Option(help="Megapixels of one photo.", min=0.01)] = 50.0,
    max_waiting: Annotated[int, typer.Option(help="Jobs in the queue.", min=1)] = 16,
    keep: Annotated[float, typer.Option(help="Minutes that photos and results are kept.", min=0.1)] = 60.0,
) -> None:
    """The studio in the browser, and the HTTP API beside it (/api/v1/). Stop it with Ctrl-C.

    Exit status: 0 when stopped, 2 wrong use (an address that is taken, no gradio here).
    """
    from likeness.doctor import version

    if version("fastapi") is None or version("uvicorn") is None or (not api_only and version("gradio") is None):
        stop("the studio needs gradio: type pip install 'likeness[web]'")
    from likeness.web.engine import Engine
    from likeness.web.limits import Limits
    from likeness.web.server import LOOPBACK, make_app, names_of, serve

    secret = None
    if password:
        secret = os.environ.get(PASSWORD) or typer.prompt("Password", hide_input=True)
    if host not in LOOPBACK and secret is None:
        note("anybody who reaches this address can use the studio: consider --password")
    limits = Limits(
        upload_bytes=int(max_upload * 2**20),
        request_bytes=int(max(512 * 2**20, 2 * max_upload * 2**20)),
        photos=max_photos,
        pixels=int(max_pixels * 1e6),
        waiting=max_waiting,
        keep_seconds=keep * 60,
    )
    with plain_errors(), Engine(limits, device=device, precision=precision) as engine:
        app = make_app(engine, password=secret, hosts=names_of(host), studio=not api_only)
        serve(
            app, host, port, lambda address: note(f"{'API' if api_only else 'studio'} at {address} (Ctrl-C stops it)")
        )
