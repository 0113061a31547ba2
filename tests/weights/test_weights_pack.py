"""Weights that come in a zip, from a real server on loopback."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from file_server import DATA, Server, names_below, sha256
from likeness.weights import download, pack, store
from likeness.weights.catalogue import CatalogueError, Entry
from likeness.weights.errors import WeightsError

Listed = Callable[..., Entry]


def zipped(*members: tuple[str, bytes], link: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16 if link else 0
            archive.writestr(info, data)
    return stream.getvalue()


@pytest.mark.parametrize("folder", ["", "pack/", "a/b/"])  # flat, or below folders
def test_the_file_is_taken_out_of_its_zip(home: Path, listed: Listed, server: Server, folder: str) -> None:
    url = server.give("pack.zip", zipped(("other.onnx", b"other"), (f"{folder}net.onnx", DATA)))
    entry = listed(urls=[url], member="net.onnx", sha256=sha256(DATA), bytes=len(DATA))
    assert store.pull(entry).read_bytes() == DATA
    assert names_below(home) == {"weights/tiny.pth", "weights/tiny.pth.json"}
    store.pull(entry)
    assert len(server.seen) == 1


def test_a_broken_download_of_a_zip_is_gone_on_from(home: Path, listed: Listed, server: Server) -> None:
    cut = 6 * download.BLOCK
    url = server.give("pack.zip", zipped(("net.onnx", DATA)), drop_after=cut, drops=2)
    assert store.pull(listed(urls=[url], member="net.onnx")).read_bytes() == DATA
    assert len(server.seen) == 3


def test_a_mirror_gives_the_zip(listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_MIRROR", server.give("pack.zip", zipped(("net.onnx", DATA))).removesuffix("pack.zip"))
    entry = listed(urls=["https://example.invalid/far/pack.zip"], member="net.onnx")
    assert store.pull(entry).read_bytes() == DATA


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"not a zip at all" * 100, "this is none that can be read"),
        (zipped(("other.onnx", DATA)), "holds 0 files called net.onnx"),
        (zipped(("a/net.onnx", DATA), ("b/net.onnx", DATA)), "holds 2 files called net.onnx"),
        (zipped(("net.onnx", DATA), link=True), "not a plain file"),
        (zipped(("net.onnx", DATA + b"more")), "is larger than"),
        (zipped(("net.onnx", b"x" + DATA[1:])), "sha256"),
    ],
)
def test_a_zip_that_is_not_as_it_should_be(home: Path, listed: Listed, server: Server, data: bytes, says: str) -> None:
    entry = listed(urls=[server.give("pack.zip", data)], member="net.onnx", sha256=sha256(DATA), bytes=len(DATA))
    with pytest.raises(WeightsError, match=says):
        store.pull(entry)
    assert not (home / "weights").exists() or names_below(home / "weights") == set()


def test_a_zip_that_swells_is_stopped(listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "CAP", 1 << 20)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net.onnx", bytes(1 << 24))
    entry = listed(urls=[server.give("pack.zip", stream.getvalue())], member="net.onnx")
    with pytest.raises(WeightsError, match="is larger than 1,048,576 bytes"):
        store.pull(entry)


def test_a_member_is_a_name(listed: Listed) -> None:
    for member in ("../net.onnx", "/net.onnx", "a/net.onnx"):
        with pytest.raises(CatalogueError, match="member"):
            listed(member=member)
