"""What an attacker would try, against a real server on loopback."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import secrets
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from PIL import Image
from web_server import Served

import scenes

SECRET = "the contents of a file that is nobody's business"


def raw(served: Served, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """A request whose path no client library has tidied up."""
    connection = http.client.HTTPConnection(urlsplit(served.address).netloc, timeout=30)
    connection.request(method, path, body or None, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(SECRET)
    return path


@pytest.fixture
def photo() -> tuple[str, bytes]:
    return "a.jpg", scenes.encoded(scenes.portrait())


TRAVERSALS = (
    "../../../{0}",
    "..%2f..%2f..%2f{0}",
    "%2e%2e/%2e%2e/{0}",
    "/{0}",
    "//{0}",
    "....//{0}",
    "..\\..\\{0}",
    "{0}%00.jpg",
)


def test_no_path_of_a_file_leads_out_of_a_job(server: Served, secret: Path, photo: tuple[str, bytes]) -> None:
    job = server.job(photo)["job"]
    for pattern in TRAVERSALS:
        for start in (f"/api/v1/jobs/{job}/files/", f"/api/v1/jobs/{job}/files/pattern/", "/api/v1/jobs/", "/"):
            status, body = raw(server, "GET", start + pattern.format(str(secret).lstrip("/")))
            assert status in (400, 404), (start, pattern)
            assert SECRET.encode() not in body


def test_names_of_uploads_name_no_file(server: Served, secret: Path, photo: tuple[str, bytes]) -> None:
    before = secret.read_bytes()
    for name in (
        str(secret),
        "../../../../tmp/x.jpg",
        "..\\..\\x.jpg",
        "a\x00b.jpg",
        "con.jpg",
        ".hidden.jpg",
        "💥" * 300 + ".jpg",
    ):
        job = server.job((name, photo[1]))
        assert job["state"] == "done", job
        for item in job["photos"]:
            assert ".." not in item["output"]
            assert not item["output"].startswith("/")
    assert secret.read_bytes() == before
    assert not [p for p in server.scratch.rglob("*") if p.name.endswith(("x.jpg", "secret.txt"))]


def test_no_setting_takes_a_path(server: Served, secret: Path, photo: tuple[str, bytes], tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"x")
    for settings in (
        {"methods": [str(weights)]},
        {"weights": str(weights)},
        {"reference": str(tmp_path)},
        {"references": [str(secret)]},
        {"hole": str(secret)},
        {"mask": str(secret)},
        {"upscaler": str(secret)},
        {"landmarks": str(secret)},
    ):
        answer = server.post(photo, settings=settings)
        assert answer.status_code == 400, settings
        assert SECRET not in answer.text


def test_no_address_is_ever_fetched(server: Served, photo: tuple[str, bytes]) -> None:
    asked: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Listener) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{listener.server_port}/inside"
        for settings in ({"methods": [address]}, {"photos": [address]}, {"url": address}):
            assert server.post(photo, settings=settings).status_code == 400
        named = requests.post(server.url("restore"), data={"photos": address, "settings": "{}"}, timeout=30)
        assert named.status_code == 400
        for data in (
            {"path": address, "meta": {"_type": "gradio.FileData"}},
            [{"deep": [{"path": f" {address}"}]}],
            {"path": "file:///etc/passwd"},
        ):
            answer = requests.post(
                f"{server.address}gradio_api/queue/join", json={"data": [data], "fn_index": 0}, timeout=30
            )
            assert answer.status_code == 400, answer.text
        for path in (f"gradio_api/proxy={address}", f"gradio_api/file={address}"):
            assert raw(server, "GET", f"/{path}")[0] in (403, 404)
        listener.shutdown()
    assert asked == []


def test_too_large_uploads_are_cut_off(server: Served) -> None:
    answer = server.post(("big.jpg", secrets.token_bytes(9 * 2**20)))
    assert (answer.status_code, answer.json()["error"]) == (413, "big.jpg: larger than the limit of 8 MiB")
    status, body = raw(server, "POST", "/api/v1/restore", Content_Length=str(10**12))
    assert status == 413, body
    status, _ = raw(server, "POST", "/api/v1/restore", Content_Length="-1")
    assert status in (400, 413)


def test_a_body_without_a_length_is_counted_as_it_comes(serving: Callable[..., Any], photo: tuple[str, bytes]) -> None:
    with serving("--max-upload", "1") as served:
        address = urlsplit(served.address)
        with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
            head = (
                f"POST /api/v1/restore HTTP/1.1\r\nHost: {address.netloc}\r\nTransfer-Encoding: chunked\r\n"
                "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            )
            part = b'--b\r\nContent-Disposition: form-data; name="photos"; filename="x.jpg"\r\n\r\n'
            connection.sendall(head.encode() + b"%x\r\n" % len(part) + part + b"\r\n")
            block = b"%x\r\n" % 2**20 + bytes(2**20) + b"\r\n"
            sent = 0
            try:
                while sent < 1100:
                    connection.sendall(block)
                    sent += 1
            except OSError:
                pass
        assert 500 < sent < 600  # cut off at 512 MiB, and what the sockets held
        assert served.memory() < 1.5e9
        assert served.job(photo)["state"] == "done"


def test_what_is_no_photo_gets_a_clear_answer_and_the_server_goes_on(server: Served, photo: tuple[str, bytes]) -> None:
    wide = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(wide, "PNG")
    for name, data, status, words in (
        ("text.jpg", b"these are words", 415, "text.jpg: this is not a photo"),
        ("wide.png", wide.getvalue(), 413, "wide.png: 10000x10000 pixels are more than the limit of 50,000,000"),
        ("cut.jpg", photo[1][:5000], 415, "cut.jpg: damaged, cut short"),
        ("empty.jpg", b"", 415, "empty.jpg"),
        (
            "page.svg",
            b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
            415,
            "page.svg: this is not",
        ),
    ):
        answer = server.post((name, data))
        assert answer.status_code == status, answer.text
        assert words in answer.json()["error"]
        assert str(server.scratch) not in answer.text
    assert server.job(photo)["state"] == "done"


def test_two_hundred_requests_at_once_lose_no_job(serving: Callable[..., Any]) -> None:
    photo = ("a.jpg", scenes.encoded(scenes.portrait(640)))
    with serving("--max-waiting", "6") as served:
        served.job(photo)  # everything is loaded
        before = served.memory()
        with ThreadPoolExecutor(200) as many:
            answers = list(many.map(lambda _: served.post(photo), range(200)))
        statuses = Counter(answer.status_code for answer in answers)
        assert set(statuses) <= {202, 429}, statuses
        assert statuses[202] >= 7
        assert statuses[429] >= 100
        assert all(
            answer.headers.get("retry-after") or "wait" in answer.text
            for answer in answers
            if answer.status_code == 429
        )
        jobs = [answer.json()["job"] for answer in answers if answer.status_code == 202]
        assert len(set(jobs)) == len(jobs)
        assert [served.wait(job)["state"] for job in jobs] == ["done"] * len(jobs)
        assert served.memory() - before < 400e6


def test_results_of_others_cannot_be_guessed(server: Served, photo: tuple[str, bytes]) -> None:
    jobs = [server.job(photo)["job"] for _ in range(3)]
    assert len(set(jobs)) == 3
    assert all(len(base64.urlsafe_b64decode(job)) == 24 for job in jobs)  # 192 random bits
    shared = sum(a == b for a, b in zip(jobs[0], jobs[1], strict=True))
    assert shared < 12
    for guess in ("0", "1", "", "latest", "*", "%", jobs[0][:-1], jobs[0].swapcase(), secrets.token_urlsafe(24)):
        for tail in ("", "/zip", "/files/pattern/a.jpg"):
            assert raw(server, "GET", f"/api/v1/jobs/{guess}{tail}")[0] in (307, 404, 405), (guess, tail)
        assert raw(server, "DELETE", f"/api/v1/jobs/{guess}")[0] in (307, 404, 405)
    assert raw(server, "GET", "/api/v1/jobs")[0] == 404


def test_pages_of_other_sites_cannot_use_a_server_on_loopback(server: Served) -> None:
    assert raw(server, "GET", "/api/v1/methods", Host="evil.example")[0] == 403
    assert raw(server, "POST", "/api/v1/restore", Origin="http://evil.example")[0] == 403
    assert raw(server, "DELETE", "/api/v1/jobs/x", Origin="null")[0] == 403
    assert raw(server, "GET", "/api/v1/methods", Host="localhost:1")[0] == 200
    headers = requests.get(server.url("health"), timeout=30).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_password_guards_everything(serving: Callable[..., Any], photo: tuple[str, bytes]) -> None:
    with serving("--password", env={"LIKENESS_PASSWORD": "Öffne dich"}) as served:
        for path in ("health", "methods", "openapi.json", "jobs/x"):
            for auth in (None, ("u", "wrong"), ("u", "")):
                answer = requests.get(served.url(path), auth=auth, timeout=30)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"].startswith("Basic")
        assert served.post(photo).status_code == 401
        token = base64.b64encode("u:Öffne dich".encode()).decode()
        assert (
            requests.get(served.url("health"), headers={"authorization": f"Basic {token}"}, timeout=30).status_code
            == 200
        )
        for wrong in ("Basic", "Basic !!!", "Bearer x", f"Basic {token}x"):
            assert requests.get(served.url("health"), headers={"authorization": wrong}, timeout=30).status_code == 401


def test_ended_by_a_signal_it_deletes_every_photo(serving: Callable[..., Any], photo: tuple[str, bytes]) -> None:
    with serving() as served:
        served.job(photo)
        folder = next(served.scratch.glob("likeness-web-*"))
        assert oct(folder.stat().st_mode & 0o777) == "0o700"
        os.kill(served.process.pid, signal.SIGTERM)
        served.process.wait(30)
    assert served.process.returncode == 0
    assert not folder.exists()


def test_a_report_is_json_whatever_the_name_says(server: Served, photo: tuple[str, bytes]) -> None:
    job = server.job(('"><script>alert(1)</script>.jpg', photo[1]))
    assert json.loads(json.dumps(job)) == job
    answer = server.file(job["job"], job["photos"][0]["files"]["restored"])
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-disposition"].startswith("attachment")
