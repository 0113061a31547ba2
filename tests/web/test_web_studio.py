"""The studio without a browser: what comes from a page is checked, what goes to it is escaped, nothing is kept."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="needs the extra web")

import scenes
from likeness.web.engine import Engine
from likeness.web.jobs import Job
from likeness.web.limits import Limits
from likeness.web.refusal import Refused
from likeness.web.studio import cache, history
from likeness.web.studio.faces import Previews, cards, chosen
from likeness.web.studio.painter import PREFIX, mask_of, view_size
from likeness.web.studio.results import restored
from likeness.web.uploads import Upload

BAD = "<img src=x onerror=alert(1)>"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # as it was, afterwards
    with Engine(Limits(), tmp_path) as made:
        cache.keep_in(made)
        yield made


@pytest.fixture
def upload() -> Upload:
    return Upload("x", "photo.png", Path("nowhere"), "PNG", 2000, 1000, 0, 0.0)


def as_text(mask: np.ndarray) -> str:
    return PREFIX + base64.b64encode(scenes.encoded(np.repeat(mask[..., None] * np.uint8(255), 3, 2), "PNG")).decode()


def test_a_mask_is_enlarged_to_the_photo(upload: Upload) -> None:
    width, height = view_size(upload)
    assert (width, height) == (1024, 512)
    painted = np.zeros((height, width), bool)
    painted[:256, :512] = True
    mask = mask_of(as_text(painted), upload)
    assert mask.shape == (1000, 2000)
    assert mask[:500, :1000].all()
    assert mask.mean() == 0.25


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nothing is painted"),
        (None, "nothing is painted"),
        ("/etc/passwd", "no mask of this page"),
        (PREFIX + "not base64", "no mask of this page"),
        (PREFIX + base64.b64encode(b"text").decode(), "no mask of this page"),
        (PREFIX + base64.b64encode(scenes.encoded(scenes.landscape())).decode(), "no mask of this page"),  # a JPEG
        (PREFIX + "A" * 2**22, "no mask of this page"),
        (as_text(np.ones((10, 10), bool)), "belongs to another photo"),
        (as_text(np.zeros((512, 1024), bool)), "nothing is painted"),
    ],
)
def test_what_is_no_mask_is_refused(upload: Upload, text: str | None, says: str) -> None:
    with pytest.raises(Refused, match=says):
        mask_of(text, upload)


def test_a_mask_of_many_pixels_is_refused_before_they_are_read(upload: Upload) -> None:
    stream = io.BytesIO()
    Image.new("1", (60_000, 20_000)).save(stream, "PNG")
    assert len(stream.getvalue()) < 2**20
    with pytest.raises(Refused):
        mask_of(PREFIX + base64.b64encode(stream.getvalue()).decode(), upload)


def test_gradios_copy_of_an_upload_is_deleted_whether_it_is_a_photo_or_not(engine: Engine) -> None:
    folder = cache.folder(engine)
    assert os.environ["GRADIO_TEMP_DIR"] == str(folder)
    contents = {"good.jpg": scenes.encoded(scenes.landscape()), "bad.jpg": b"text"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    litter = folder / "tmpabc"
    litter.touch()
    os.utime(litter, (time.time() - 100,) * 2)
    taken, refused = cache.take_all(engine, [str(folder / name) for name in (*contents, "lost.jpg")])
    assert [one.name for one in taken] == ["good.jpg"]
    assert [line.partition(":")[0] for line in refused] == ["bad.jpg", "lost.jpg"]
    assert list(folder.iterdir()) == []


def test_uploads_wait_while_too_much_lies_untaken(engine: Engine) -> None:
    passed: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["path"])

    sent: list[dict[str, Any]] = []

    async def send(one: Any) -> None:
        sent.append(one)

    room = cache.Room(app, cache=cache.folder(engine), limit=100)
    upload, other = ({"type": "http", "path": path} for path in ("/gradio_api/upload", "/"))

    def ask(scope: dict[str, Any]) -> None:
        asyncio.run(room(scope, None, send))  # type: ignore[arg-type]

    ask(upload)
    (cache.folder(engine) / "left").write_bytes(b"x" * 101)
    ask(upload)
    ask(other)
    assert passed == ["/gradio_api/upload", "/"]
    assert sent[0]["status"] == 429


def test_unticked_faces_stay_and_a_photo_without_a_ticked_face_is_left_out(engine: Engine) -> None:
    group = engine.take(io.BytesIO(scenes.encoded(scenes.group())), "group.jpg")
    empty = engine.take(io.BytesIO(scenes.encoded(scenes.landscape())), "empty.jpg")
    ids = [group.id, empty.id]
    photos, faces = chosen(engine, ids, {f"{group.id}:1"}, enlarge=False)
    assert photos == [group]
    assert faces == {group.id: (0, 2)}
    assert chosen(engine, ids, set(), enlarge=True)[0] == [group, empty]
    html = cards(engine, Previews(engine), [group.id, "guessed"], {f"{group.id}:1"}, "restore")
    assert html.count('type="checkbox"') == 3
    assert html.count(" checked>") == 2
    assert "that photo is not here (any more)" in html
    with pytest.raises(Refused, match="not here"):
        chosen(engine, ["guessed"], set(), enlarge=False)


def test_what_files_and_methods_are_called_never_becomes_markup(tmp_path: Path) -> None:
    face = {"box": [0, 0, 1, 1], "status": "skipped", "reason": BAD, "same_person": None, "seconds": 0}
    words = {"headline": BAD, "detail": [BAD], "level": "none"}
    item = {"input": BAD, "method": BAD, "notes": [BAD], "reason": BAD, "seconds": 1.0, "photo": "x", "faces": [face]}
    failed = {**item, "files": {}, "words": [words]}
    shown = {**item, "files": dict.fromkeys(("before", "after", "restored"), BAD), "words": [words]}
    html = restored(Job("id", tmp_path, frozenset(), state="done", items=[failed, shown], notes=[BAD]))
    assert html.count("onerror") > 8
    assert "<img src=x" not in html
    assert BAD not in html


@pytest.mark.parametrize(
    "text",
    [None, "", "no json", "{}", '["x"]', '[{"job": "../../etc", "kind": "a", "time": "b", "what": "c"}]', "[" * 9999],
)
def test_a_browsers_list_of_jobs_is_only_believed_for_jobs_that_are_here(engine: Engine, text: str | None) -> None:
    assert history.restore_list(engine, text) == []


def test_a_job_that_is_here_is_listed_again(engine: Engine) -> None:
    import json

    job = engine.jobs.submit(lambda job: None)
    mine = history.entry(job.id, "restore", ["a.jpg"], ["likeness"])
    assert history.restore_list(engine, json.dumps([mine, {**mine, "job": "A" * 32}])) == [mine]


def handler(engine: Engine, name: str) -> Any:
    """The function of the page's event so called."""
    from likeness.web.studio import build

    return next(one.fn for one in build(engine).fns.values() if one.name == name)


def test_weights_are_fetched_with_progress_once_the_licence_is_accepted(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likeness.weights import store

    pulled = []

    def pull(entry: Any, accepted: bool, progress: Any, say: Any) -> None:
        pulled.append((entry.name, accepted))
        for done in (25_000_000, 50_000_000):
            progress(done, 100_000_000)
            time.sleep(0.5)

    monkeypatch.setattr(store, "pull", pull)
    fetch = handler(engine, "fetch")

    async def said(*arguments: Any) -> list[str]:
        return [update[0] async for update in fetch(*arguments)]

    assert "licence must be accepted" in asyncio.run(said("codeformer", False))[0]
    assert "Choose what to fetch" in asyncio.run(said("../../etc/passwd", True))[0]
    assert pulled == []
    lines = asyncio.run(said("codeformer", True))
    assert pulled == [("codeformer", True)]
    assert any("25.0 MB of 100.0 MB" in line and 'aria-valuenow="25"' in line for line in lines)
    assert "codeformer is here" in lines[-1]


def test_gradios_own_api_offers_nothing(engine: Engine) -> None:
    from likeness.web.studio import build

    blocks = build(engine)
    assert len(blocks.fns) > 15
    assert {one.api_visibility for one in blocks.fns.values()} == {"private"}
    assert not blocks.analytics_enabled
