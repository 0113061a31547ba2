"""Fetching weights from a real server on loopback that misbehaves in each way that servers do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from file_server import DATA, Behaviour, Server, names_below, sha256
from likeness.weights import download, store
from likeness.weights.catalogue import Entry
from likeness.weights.errors import LicenceError, WeightsError

Listed = Callable[..., Entry]
SUM = sha256(DATA)
CUT = 6 * download.BLOCK  # here connections break
HTML = b"\n<!DOCTYPE html><html><body>Sign in to go on</body></html>"


def refused(entry: Entry, *parts: str, **how: Any) -> str:
    """The one line with which ``pull`` refuses."""
    with pytest.raises(WeightsError) as caught:
        store.pull(entry, **how)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in parts:
        assert part in message, message
    return message


def test_a_file_comes_whole_with_its_record(home: Path, listed: Listed, server: Server) -> None:
    entry = listed(urls=[server.give("tiny.pth", DATA)], sha256=SUM, bytes=len(DATA))
    seen: list[tuple[int, int | None]] = []
    said: list[str] = []
    path = store.pull(entry, progress=lambda done, total: seen.append((done, total)), say=said.append)
    assert path == home / "weights/tiny.pth" == store.locate("tiny")
    assert path.read_bytes() == DATA
    assert names_below(home) == {"weights/tiny.pth", "weights/tiny.pth.json"}
    assert seen[0] == (0, len(DATA))
    assert seen[-1] == (len(DATA), len(DATA))
    assert len(seen) > 2
    assert said == []
    assert json.loads(Path(f"{path}.json").read_text())["against"] == "catalogue"


def test_a_file_that_is_there_is_not_fetched_again(listed: Listed, server: Server) -> None:
    entry = listed(urls=[server.give("tiny.pth", DATA)])
    store.pull(entry)
    server.files.clear()
    assert store.pull(entry).read_bytes() == DATA
    assert len(server.seen) == 1


def test_a_damaged_file_is_fetched_again(listed: Listed, server: Server) -> None:
    entry = listed(urls=[server.give("tiny.pth", DATA)], sha256=SUM)
    path = store.pull(entry)
    path.write_bytes(b"x" + DATA[1:])
    said: list[str] = []
    assert store.pull(entry, say=said.append).read_bytes() == DATA
    assert "fetching it anew" in said[0]


def test_what_a_broken_connection_left_is_gone_on_from(home: Path, listed: Listed, server: Server) -> None:
    """In one call, and after a call that gave up."""
    entry = listed(urls=[server.give("tiny.pth", DATA, drop_after=CUT, drops=2)], sha256=SUM)
    assert store.pull(entry).read_bytes() == DATA
    assert [asked for _, asked in server.seen] == [None, f"bytes={CUT}-", f"bytes={2 * CUT}-"]
    assert names_below(home) == {"weights/tiny.pth", "weights/tiny.pth.json"}


def test_a_later_call_goes_on(home: Path, listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    entry = listed(urls=[server.give("tiny.pth", DATA, drop_after=CUT)], sha256=SUM)
    refused(entry, f"the connection broke after {CUT} of {len(DATA)} bytes", f"{server.url}/tiny.pth", entry.page)
    assert names_below(home) == {"partial/tiny.pth.part", "partial/tiny.pth.part.json"}
    assert store.state(entry) == "absent"
    server.give("tiny.pth", DATA)
    assert store.pull(entry).read_bytes() == DATA
    assert server.seen[-1][1] == f"bytes={CUT}-"
    assert names_below(home) == {"weights/tiny.pth", "weights/tiny.pth.json"}


def test_a_server_that_always_drops_ends_with_an_error(listed: Listed, server: Server) -> None:
    """It drops before the first byte, or gives the beginning again and again: no attempt without end."""
    entry = listed(urls=[server.give("tiny.pth", DATA, drop_after=0)])
    refused(entry, "5 attempts")
    assert len(server.seen) == 5
    server.give("tiny.pth", DATA, drop_after=1000, ranges=False)
    refused(entry, "5 attempts")
    assert len(server.seen) < 15


@pytest.mark.parametrize("etag", ['"1"', None])
def test_another_file_by_now_comes_whole(
    listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch, etag: str | None
) -> None:
    """Never two halves of two files, even when nobody has stated the sha256."""
    entry = listed(urls=[server.give("tiny.pth", DATA, drop_after=CUT, etag=etag)])
    with monkeypatch.context() as hurried:
        hurried.setattr(download, "ATTEMPTS", 1)
        refused(entry)
    other = bytes(reversed(DATA)) + (b"" if etag else b"more")
    server.give("tiny.pth", other, etag=etag and '"2"')
    assert store.pull(entry).read_bytes() == other


def test_halves_of_two_files_are_noticed_by_the_sha256(
    listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has no validator and the length is the same: fetched once more from the start."""
    entry = listed(urls=[server.give("tiny.pth", bytes(len(DATA)), drop_after=CUT, etag=None)], sha256=SUM)
    with monkeypatch.context() as hurried:
        hurried.setattr(download, "ATTEMPTS", 1)
        refused(entry)
    server.give("tiny.pth", DATA, etag=None)
    assert store.pull(entry).read_bytes() == DATA
    assert [asked for _, asked in server.seen] == [None, f"bytes={CUT}-", None]


def test_a_part_that_is_whole_needs_no_server(home: Path, listed: Listed, server: Server) -> None:
    """Killed between the last byte and the renaming."""
    entry = listed(urls=[server.give("tiny.pth", DATA)], sha256=SUM)
    partial = home / "partial"
    partial.mkdir(parents=True)
    (partial / "tiny.pth.part").write_bytes(DATA)
    note = {"url": f"{server.url}/tiny.pth", "validator": '"1"', "total": len(DATA)}
    (partial / "tiny.pth.part.json").write_text(json.dumps(note))
    assert store.pull(entry).read_bytes() == DATA
    assert server.seen == []


def test_a_longer_part_is_thrown_away(home: Path, listed: Listed, server: Server) -> None:
    entry = listed(urls=[server.give("tiny.pth", DATA)], sha256=SUM)
    partial = home / "partial"
    partial.mkdir(parents=True)
    (partial / "tiny.pth.part").write_bytes(DATA + b"more")
    (partial / "tiny.pth.part.json").write_text('{"url": "' + f"{server.url}/tiny.pth" + '", "val')
    assert store.pull(entry).read_bytes() == DATA


@pytest.mark.parametrize("where", ["in the catalogue", "of another length", "beginning of it", "another digest"])
def test_wrong_bytes(home: Path, listed: Listed, server: Server, where: str) -> None:
    facts = {
        "in the catalogue": {"sha256": sha256(b"other")},
        "of another length": {"bytes": len(DATA) + 1},
        "beginning of it": {"digest": "sha256:00000000"},
        "another digest": {"digest": "md5:" + "0" * 32},
    }[where]
    entry = listed(urls=[server.give("tiny.pth", DATA)], **facts)
    refused(entry, str(next(iter(facts.values()))).rpartition(":")[2], entry.page)
    assert names_below(home) == set()
    assert len(server.seen) == 1
    with pytest.raises(WeightsError, match="likeness models pull tiny"):
        store.locate("tiny")


def test_a_digest_that_fits(listed: Listed, server: Server) -> None:
    entry = listed(urls=[server.give("tiny.pth", DATA)], digest=f"sha256:{SUM[:8]}")
    assert store.pull(entry).read_bytes() == DATA


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"status": 404}, "404 Not Found"),
        ({"status": 403}, "403 Forbidden"),
        ({"data": HTML, "type": "text/html; charset=utf-8"}, "a web page"),
        ({"type": "text/html"}, "a web page"),
        ({"data": HTML}, "a web page"),
        ({"data": b"<?xml version='1.0'?><Error>AccessDenied</Error>"}, "a web page"),
        ({"data": b""}, "empty"),
        ({"content_encoding": "gzip"}, "gzip"),
        ({"location": "ftp://example.org/tiny.pth"}, "ftp://"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_file(home: Path, listed: Listed, server: Server, how: dict[str, Any], says: str) -> None:
    entry = listed(urls=[server.give("tiny.pth", **({"data": DATA} | how))])
    refused(entry, says, entry.page, "likeness models add tiny FILE")
    assert names_below(home) == set()
    assert len(server.seen) == 1, "there is no use in asking again"


def test_a_body_without_length(listed: Listed, server: Server) -> None:
    entry = listed(urls=[server.give("tiny.pth", DATA, length=False)], sha256=SUM)
    assert store.pull(entry).read_bytes() == DATA


def test_a_truncated_body_without_length(home: Path, listed: Listed, server: Server) -> None:
    """Nothing in the answer tells that it is cut; the size in the catalogue does."""
    entry = listed(urls=[server.give("tiny.pth", DATA[:1000], length=False)], bytes=len(DATA))
    refused(entry, f"1000 of {len(DATA)} bytes")
    assert not (home / "weights").exists()


def test_a_file_of_another_length_is_not_even_fetched(listed: Listed, server: Server) -> None:
    entry = listed(urls=[server.give("tiny.pth", DATA)], bytes=len(DATA) + 1)
    seen: list[int] = []
    refused(entry, f"offers {len(DATA)} bytes", progress=lambda done, total: seen.append(done))
    assert seen == []


def test_more_bytes_than_there_should_be(home: Path, listed: Listed, server: Server) -> None:
    entry = listed(urls=[server.give("tiny.pth", DATA * 2, length=False)], bytes=len(DATA))
    refused(entry, f"more than {len(DATA)} bytes")
    assert names_below(home) == set()


def test_a_disk_without_room(home: Path, listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: SimpleNamespace(free=5))
    refused(listed(urls=[server.give("tiny.pth", DATA)]), "0 MB free")
    assert names_below(home) == set()


def test_a_server_that_is_busy_is_asked_again(listed: Listed, server: Server) -> None:
    entry = listed(urls=[server.give("tiny.pth", DATA, status=503, failures=3)])
    assert store.pull(entry).read_bytes() == DATA
    assert len(server.seen) == 4


def test_the_second_attempt_waits_longer(listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    refused(listed(urls=[server.give("tiny.pth", DATA, status=503)]), "503")
    assert waits == [0.01, 0.02, 0.04, 0.08]


def test_a_server_that_says_nothing_is_given_up(
    listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    entry = listed(urls=[server.give("tiny.pth", DATA, silence=0.6)])
    refused(entry, "no answer in time", "2 attempts")
    server.give("tiny.pth", DATA, delay=0.6)  # it stalls, but each time gives some more
    assert store.pull(entry).read_bytes() == DATA


def test_addresses_in_turn_and_why_each_failed(listed: Listed, server: Server) -> None:
    urls = [
        server.give("gone.pth", b"", status=404),
        server.give("page.pth", HTML),
        "http://127.0.0.1:1/closed.pth",
        server.give("tiny.pth", DATA),
    ]
    assert store.pull(listed(urls=urls, sha256=SUM)).read_bytes() == DATA
    entry = listed("other", urls=urls[:3])
    refused(entry, f"{urls[0]}: 404", f"{urls[1]}: ", "a web page", f"{urls[2]}: the connection failed")


def test_a_mirror_is_asked_first(listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = listed("tiny++", urls=[server.give("there/tiny", DATA)], sha256=SUM)
    monkeypatch.setenv("LIKENESS_MIRROR", f"{server.url}/mirror/")
    store.pull(entry)
    assert [path for path, _ in server.seen] == ["/mirror/tiny%2B%2B.pth", "/there/tiny"]
    store.place(entry).unlink()
    server.give("mirror/tiny%2B%2B.pth", DATA)
    store.pull(entry)
    assert len(server.seen) == 3


def test_a_mirror_serves_what_has_no_address(listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_MIRROR", server.url)
    server.give("tiny.pth", DATA)
    assert store.pull(listed(urls=[])).read_bytes() == DATA


def test_a_proxy_from_the_environment(listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", server.url)
    server.files["http://weights.invalid/tiny.pth"] = Behaviour(DATA)  # a proxy is asked for the whole address
    assert store.pull(listed(urls=["http://weights.invalid/tiny.pth"])).read_bytes() == DATA


def test_offline(home: Path, listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = listed(urls=[server.give("tiny.pth", DATA)])
    monkeypatch.setenv("LIKENESS_OFFLINE", "1")
    refused(entry, "LIKENESS_OFFLINE", "likeness models add tiny FILE")
    assert server.seen == []
    assert names_below(home) == set()
    monkeypatch.setenv("LIKENESS_OFFLINE", "0")
    store.pull(entry)
    monkeypatch.setenv("LIKENESS_OFFLINE", "1")
    assert store.pull(entry).read_bytes() == DATA, "what is here needs no network"


def test_from_https_to_http_is_refused() -> None:
    """The last address, or one on the way. (A server with a certificate would be needed to do it in earnest.)"""
    safe, open_ = (SimpleNamespace(url=f"{kind}://example.org/tiny.pth", history=[]) for kind in ("https", "http"))
    for answer in (open_, SimpleNamespace(url=safe.url, history=[safe, open_])):
        with pytest.raises(download._Hopeless, match="not encrypted"):
            download._begin(answer, safe.url, Path("part"), None)  # type: ignore[arg-type]


# licence


def test_a_licence_must_be_accepted(home: Path, listed: Listed, server: Server) -> None:
    facts = {"licence": "S-Lab License 1.0", "permits": "No trade.", "non_commercial": True}
    entry = listed(urls=[server.give("tiny.pth", DATA)], **facts)
    with pytest.raises(LicenceError) as caught:
        store.pull(entry)
    for part in ("S-Lab License 1.0", "No trade.", "likeness models pull tiny --accept-licence"):
        assert part in str(caught.value)
    assert server.seen == []
    assert store.pull(entry, accept_licence=True).read_bytes() == DATA
    assert store.pull(entry).read_bytes() == DATA, "it is here: nothing to accept"


def test_by_hand_the_page_and_the_licence_are_named(listed: Listed) -> None:
    entry = listed(non_commercial=True, licence="CC BY-NC-SA", note="one of three")
    refused(entry, entry.page, "CC BY-NC-SA", "one of three", "likeness models add tiny FILE", "--weights FILE")


# pinned on first use


def test_an_unknown_sha256_is_pinned_on_first_use_and_says_so(home: Path, listed: Listed, server: Server) -> None:
    entry = listed(urls=[server.give("tiny.pth", DATA)])
    said: list[str] = []
    path = store.pull(entry, say=said.append)
    assert len(said) == 1
    assert "pinned on first use" in said[0]
    assert SUM in said[0]
    record = json.loads(Path(f"{path}.json").read_text())
    assert (record["sha256"], record["against"], record["bytes"]) == (SUM, "first use", len(DATA))
    assert record["origin"] == f"{server.url}/tiny.pth"


def test_a_later_pull_that_differs_from_the_pin_is_an_error(home: Path, listed: Listed, server: Server) -> None:
    entry = listed(urls=[server.give("tiny.pth", DATA)])
    path = store.pull(entry)
    path.unlink()
    server.give("tiny.pth", DATA[:-1] + b"x")
    message = refused(entry, SUM, "when it first came", "tiny.pth.json")
    assert names_below(home) == {"weights/tiny.pth.json"}
    Path(f"{path}.json").unlink()  # as the message says
    assert f"remove {path}.json" in message
    assert store.pull(entry).read_bytes().endswith(b"x")


# several processes


def test_two_processes_pull_the_same_file(home: Path, listed: Listed, server: Server, tmp_path: Path) -> None:
    """One fetches, the other waits; both end well."""
    entry = listed(urls=[server.give("tiny.pth", DATA * 3, delay=0.02)], sha256=sha256(DATA * 3))
    code = (
        "import sys, pathlib; from likeness.weights import catalogue, store; "
        f"catalogue.CATALOGUE = pathlib.Path({str(tmp_path / 'catalogue.yaml')!r}); "
        "print(store.pull(catalogue.entry('tiny'), say=lambda t: print(t, file=sys.stderr)))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ended = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], ended
    assert {out.strip() for out, _ in ended} == {str(store.place(entry))}
    assert store.place(entry).read_bytes() == DATA * 3
    assert len(server.seen) == 1
    assert names_below(home) == {"weights/tiny.pth", "weights/tiny.pth.json"}


def test_a_killed_download_is_gone_on_from(home: Path, listed: Listed, server: Server, tmp_path: Path) -> None:
    entry = listed(urls=[server.give("tiny.pth", DATA * 20, delay=0.05)], sha256=sha256(DATA * 20))
    code = (
        "import pathlib; from likeness.weights import catalogue, store; "
        f"catalogue.CATALOGUE = pathlib.Path({str(tmp_path / 'catalogue.yaml')!r}); "
        "store.pull(catalogue.entry('tiny'))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    part = home / "partial/tiny.pth.part"
    give_up = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 300_000) and time.monotonic() < give_up:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not store.place(entry).exists()
    server.files["/tiny.pth"].delay = 0
    assert store.pull(entry).read_bytes() == DATA * 20
    assert server.seen[-1][1] is not None
