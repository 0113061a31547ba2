"""What an attacker would try against the studio's own routes, those of gradio, with the page really there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from test_web_security import SECRET, raw
from web_server import Served, running

import scenes

pytest.importorskip("gradio", reason="needs gradio: pip install likeness[web]")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("studio"), "--max-upload", "2", api_only=False) as served:
        assert requests.get(served.address, timeout=60).status_code == 200  # else all below would be refused anyway
        yield served


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(SECRET)
    return path


def uploaded(studio: Served, name: str, data: bytes) -> requests.Response:
    return requests.post(f"{studio.address}gradio_api/upload", files={"files": (name, data)}, timeout=60)


def said(studio: Served, session: str) -> str:
    """What the page is told of its event, to the end."""
    address = f"{studio.address}gradio_api/queue/data?session_hash={session}"
    text = ""
    with requests.get(address, stream=True, timeout=60) as stream:
        for line in stream.iter_lines(decode_unicode=True):
            text += f"{line}\n"
            if "process_completed" in line or "close_stream" in line or "unexpected_error" in line:
                break
    return text


def taking(studio: Served) -> dict[str, Any]:
    """The event that takes a file, as the page's own configuration describes it."""
    config = requests.get(f"{studio.address}config", timeout=60).json()
    files = {one["id"] for one in config["components"] if one["props"].get("elem_id") == "restore-drop"}
    return next(
        one for one in config["dependencies"] if any(t[0] in files and t[1] == "upload" for t in one["targets"])
    )


def test_no_file_of_the_machine_is_served(studio: Served, secret: Path) -> None:
    for path in (
        str(secret),
        str(secret).lstrip("/"),
        f"..{secret}",
        f"../../../../../../../..{secret}",
        "/etc/passwd",
    ):
        for route in (
            "gradio_api/file=",
            "gradio_api/file/",
            "gradio_api/proxy=",
            "static/",
            "assets/",
            "custom_component/",
        ):
            for form in (path, quote(path, safe=""), path.replace("../", "..%2f")):
                status, body = raw(studio, "GET", f"/{route}{form}")
                assert status in (400, 403, 404, 405, 307), (route, form, status)
                assert SECRET.encode() not in body
                assert b"root:" not in body


def test_only_uploads_are_opened(studio: Served, secret: Path) -> None:
    """The page's own event, with a path that was never uploaded, does nothing; with an upload it works."""
    event = taking(studio)
    place = event["inputs"].index(event["targets"][0][0])
    good = uploaded(studio, "a.jpg", scenes.encoded(scenes.portrait())).json()[0]
    for name, path in (("bad", str(secret)), ("good", good)):
        data: list[Any] = [None, [], ""]
        data[place] = [{"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "a.jpg"}]
        order = {
            "data": data,
            "fn_index": event["id"],
            "session_hash": f"s{name}",
            "event_data": None,
            "trigger_id": None,
        }
        answer = requests.post(f"{studio.address}gradio_api/queue/join", json=order, timeout=60)
        assert answer.status_code == 200, answer.text
        told = said(studio, f"s{name}")
        assert SECRET not in told
        assert ("1 photo ready" in told) == (name == "good"), told[-2000:]
    assert secret.read_text() == SECRET  # and it was not taken away either


def test_no_address_is_fetched_for_the_page(studio: Served) -> None:
    asked: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments: Any) -> None: ...

    event = taking(studio)
    with HTTPServer(("127.0.0.1", 0), Listener) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{listener.server_port}/inside.jpg"
        file = {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}}
        order = {"data": [[file], [], ""], "fn_index": event["id"], "session_hash": "sx"}
        assert requests.post(f"{studio.address}gradio_api/queue/join", json=order, timeout=60).status_code == 400
        for route in ("gradio_api/proxy=", "gradio_api/file="):
            assert raw(studio, "GET", f"/{route}{address}")[0] in (307, 400, 403, 404)
        listener.shutdown()
    assert asked == []


def test_uploads_have_names_of_ours_and_a_limit(studio: Served) -> None:
    path = Path(uploaded(studio, "../../../../x.jpg", scenes.encoded(scenes.portrait())).json()[0])
    assert path.is_relative_to(studio.scratch)
    assert ".." not in path.parts
    assert uploaded(studio, "big.jpg", bytes(3 * 2**20)).status_code in (400, 413, 500)
    assert not [one for one in studio.scratch.rglob("*") if one.is_file() and one.stat().st_size >= 2.5 * 2**20]
    assert requests.get(studio.address, timeout=60).status_code == 200


def test_routes_that_the_page_does_not_need_are_not_there(studio: Served) -> None:
    for route in (
        "run/predict",
        "api/predict",
        "call/restore",
        "vibe-edit",
        "process_recording",
        "runs",
        "component_server",
    ):
        answer = requests.post(f"{studio.address}gradio_api/{route}", json={"data": []}, timeout=60)
        assert answer.status_code == 404
        assert json.loads(answer.text) == {"error": "there is nothing here"}
