"""The HTTP API of a real server: what comes out is what ``likeness restore`` writes."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import requests
from PIL import Image
from web_server import Served

import scenes


def picture(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_a_group_photo_is_restored_and_comes_back_whole_with_its_report(server: Served) -> None:
    original = scenes.group()
    job = server.job(("gruppe ä.png", scenes.encoded(original, "PNG")))

    assert job["state"] == "done"
    assert [face["status"] for face in job["photos"][0]["faces"]] == ["restored"] * 3
    name = job["photos"][0]["files"]["restored"]
    answer = server.file(job["job"], name)
    assert answer.headers["content-type"] == "image/png"
    restored = picture(answer.content)
    boxes = [face["box"] for face in job["photos"][0]["faces"]]
    for box in boxes:
        assert np.abs(restored[scenes.inside(box)].astype(int) - original[scenes.inside(box)]).max() > 10
    far = scenes.far_outside(original.shape, *boxes)
    assert far.any()
    assert np.array_equal(restored[far], original[far])

    archive = zipfile.ZipFile(io.BytesIO(requests.get(server.url(f"jobs/{job['job']}/zip"), timeout=30).content))
    assert archive.testzip() is None
    assert archive.read(name) == answer.content
    report = json.loads(archive.read("report.json"))
    assert report["photos"][0]["faces"] == job["photos"][0]["faces"]
    assert "Never take a restored face as evidence" in report["statement"]


def test_only_the_chosen_face_is_restored(server: Served) -> None:
    original = scenes.group()
    job = server.job(("g.png", scenes.encoded(original, "PNG")), settings={"faces": {"0": [1]}})

    faces = job["photos"][0]["faces"]
    assert [face["status"] for face in faces] == ["skipped", "restored", "skipped"]
    assert faces[0]["reason"] == "not chosen"
    restored = picture(server.file(job["job"], job["photos"][0]["files"]["restored"]).content)
    assert np.array_equal(restored[scenes.inside(faces[0]["box"])], original[scenes.inside(faces[0]["box"])])
    assert not np.array_equal(restored[scenes.inside(faces[1]["box"])], original[scenes.inside(faces[1]["box"])])


def test_two_methods_on_two_photos_of_one_name_are_kept_apart(server: Served) -> None:
    photo = scenes.encoded(scenes.portrait())
    job = server.job(
        ("a.jpg", photo), ("a.jpg", photo), settings={"methods": ["pattern", "pattern:amount=0.4"], "samples": 2}
    )
    names = [item["files"]["restored"] for item in job["photos"]]
    assert len(set(names)) == 4
    assert [item["method"] for item in job["photos"]] == ["pattern"] * 2 + ["pattern amount=0.4"] * 2
    assert {"face-1-uncertainty", "face-1-sample-2"} <= set(job["photos"][0]["files"])
    words = job["photos"][0]["words"][0]
    assert words["headline"].startswith("Still the same person:")
    assert "usually lie below 0.55 (dlib)" in words["detail"][0]
    with zipfile.ZipFile(io.BytesIO(requests.get(server.url(f"jobs/{job['job']}/zip"), timeout=30).content)) as archive:
        assert set(names) <= set(archive.namelist())


def test_a_photo_without_a_face_comes_back_as_it_was(server: Served) -> None:
    data = scenes.encoded(scenes.landscape())
    job = server.job(("hills.jpg", data))
    assert job["photos"][0]["reason"] == "no face found"
    assert server.file(job["job"], job["photos"][0]["files"]["restored"]).content == data


def test_a_method_that_cannot_run_says_why_and_the_other_goes_on(server: Served) -> None:
    photo = ("a.jpg", scenes.encoded(scenes.portrait()))
    job = server.job(photo, settings={"methods": ["pattern", "gfpgan"]})
    assert job["state"] == "done"
    assert job["notes"] == ["gfpgan: the weights gfpgan-1.4 are not here: type likeness models pull gfpgan-1.4"]
    alone = server.job(photo, settings={"methods": ["gfpgan"]})
    assert alone["state"] == "failed"
    assert "likeness models pull gfpgan-1.4" in alone["problem"]


def test_a_job_goes_on_when_its_client_leaves(server: Served) -> None:
    with requests.Session() as session:
        files = {"photos": ("a.jpg", scenes.encoded(scenes.portrait()))}
        answer = session.post(
            server.url("restore"), files=files, data={"settings": '{"methods": ["pattern"]}'}, timeout=30
        )
    assert server.wait(answer.json()["job"])["state"] == "done"


def test_a_job_can_be_cancelled(server: Served) -> None:
    photos = [(f"{i}.jpg", scenes.encoded(scenes.portrait(512))) for i in range(5)]
    first, second = (server.post(*photos).json()["job"] for _ in range(2))
    cancelled = requests.delete(server.url(f"jobs/{second}"), timeout=30).json()
    assert cancelled["state"] == "cancelled"
    requests.delete(server.url(f"jobs/{first}"), timeout=30)
    assert server.wait(first)["state"] == "cancelled"
    assert len(server.wait(first)["photos"]) < 5
    assert server.job(photos[0])["state"] == "done"


def test_methods_say_what_stands_in_the_way(server: Served) -> None:
    methods = {one["name"]: one for one in requests.get(server.url("methods"), timeout=30).json()}
    assert methods["likeness"]["obstacle"] is None
    assert methods["codeformer"]["obstacle"] == "its weights are not here: type likeness models pull codeformer"
    assert {option["name"] for option in methods["likeness"]["options"]} >= {"steps", "fidelity"}
    assert methods["rdfr"]["obstacle"].startswith("no weights were published") if "rdfr" in methods else True


def test_wrong_orders_are_refused_with_what_is_wrong(server: Served) -> None:
    photo = ("a.jpg", scenes.encoded(scenes.portrait()))
    for settings, status, words in (
        ({"methods": ["nothing"]}, 400, "unknown method 'nothing'"),
        ({"methods": ["pattern:amount=7"]}, 400, "amount must be in [0.0, 1.0]"),
        ({"methods": ["pattern:amount=nan"]}, 400, "must be numbers"),
        ({"methods": ["pattern:amount"]}, 400, "looks like"),
        ({"methods": []}, 400, "at least one method"),
        ({"methods": ["pattern"] * 2}, 400, "none of them twice"),
        ({"methods": [f"pattern:amount=0.{i}" for i in range(5)]}, 413, "5 methods"),
        ({"samples": 9}, 413, "9 samples"),
        ({"scale": 3}, 400, "scale must be one of"),
        ({"detector": "/etc/passwd"}, 400, "detector must be one of"),
        ({"seed": -1}, 400, "seed must be"),
        ({"seed": "1"}, 400, "settings: seed"),
        ({"colour": 1}, 400, "settings: colour"),
        ({"faces": {"1": [0]}}, 400, "there is no photo '1'"),
    ):
        answer = server.post(photo, settings=settings)
        assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text
    no_json = requests.post(server.url("restore"), files={"photos": photo}, data={"settings": "{"}, timeout=30)
    assert no_json.status_code == 400
    assert "photos" in requests.post(server.url("restore"), timeout=30).json()["error"]
    assert server.post(*[photo] * 6).status_code == 413


def test_results_expire_and_nothing_stays_behind(serving: Callable[..., Any]) -> None:
    with serving("--keep", "0.1") as served:
        job = served.job(("a.jpg", scenes.encoded(scenes.portrait())))
        kept = [path for path in served.scratch.rglob("*") if path.is_file()]
        assert kept
        until = time.monotonic() + 40
        while any(path.exists() for path in kept) and time.monotonic() < until:
            time.sleep(0.2)
        assert not [path for path in kept if path.exists()]
        assert requests.get(served.url(f"jobs/{job['job']}"), timeout=30).status_code == 404
        served.post(("a.jpg", scenes.encoded(scenes.portrait())))
        folder = next(served.scratch.glob("likeness-web-*"))
    assert served.process.returncode == 0, served.said
    assert not folder.exists()


def test_openapi_describes_the_routes_and_no_page_loads_scripts_from_elsewhere(server: Served) -> None:
    described = requests.get(server.url("openapi.json"), timeout=30).json()
    assert {"/api/v1/restore", "/api/v1/jobs/{job}", "/api/v1/methods"} <= set(described["paths"])
    for path in ("docs", "redoc"):
        assert requests.get(server.address + path, timeout=30).status_code == 404
