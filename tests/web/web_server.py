"""A real server on loopback, with the method "pattern" that costs nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

import scenes


@dataclass
class Served:
    """A running ``likeness web``: its address, its process, the folder below which it keeps everything."""

    address: str
    process: subprocess.Popen[bytes]
    scratch: Path
    said: list[str]

    def url(self, path: str) -> str:
        """An address of the API."""
        return f"{self.address}api/v1/{path}"

    def post(self, *photos: tuple[str, bytes], settings: dict[str, Any] | None = None, **more: Any) -> Any:
        """``POST restore``; by default with the method "pattern"."""
        order = {"methods": ["pattern"], **(settings or {})}
        files = [("photos", (name, data)) for name, data in photos] + more.pop("files", [])
        return requests.post(self.url("restore"), files=files, data={"settings": json.dumps(order)}, timeout=60, **more)

    def job(self, *photos: tuple[str, bytes], settings: dict[str, Any] | None = None) -> dict[str, Any]:
        """Restore, and wait for the end."""
        answer = self.post(*photos, settings=settings)
        assert answer.status_code == 202, answer.text
        return self.wait(answer.json()["job"])

    def wait(self, job: str) -> dict[str, Any]:
        """The record of a job when it has ended."""
        until = time.monotonic() + 120
        while time.monotonic() < until:
            record = requests.get(self.url(f"jobs/{job}"), timeout=30).json()
            if record["state"] in ("done", "failed", "cancelled"):
                return record
            time.sleep(0.05)
        raise AssertionError(f"job {job} did not end")

    def file(self, job: str, name: str) -> requests.Response:
        """A file of a job."""
        return requests.get(self.url(f"jobs/{job}/files/{name}"), timeout=30)

    def memory(self) -> int:
        """Resident bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")


@contextmanager
def running(
    scratch: Path, *arguments: str, api_only: bool = True, env: dict[str, str] | None = None
) -> Iterator[Served]:
    """``likeness web`` on a free port until the block ends; then it is interrupted as by Ctrl-C, and must end well."""
    command = ["web", "--port", "0", *(["--api-only"] if api_only else []), *arguments]
    process = scenes.start(*command, env={"TMPDIR": str(scratch), **(env or {})})
    said: list[str] = []
    ready = threading.Event()

    def listen() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line.decode())
            if " at http" in said[-1]:
                ready.set()
        ready.set()

    threading.Thread(target=listen, daemon=True).start()
    try:
        assert ready.wait(120), said
        line = next((line for line in said if " at http" in line), None)
        assert line is not None, "".join(said)
        address = line.split(" at ")[1].split()[0]
        yield Served(address, process, scratch, said)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            raise
