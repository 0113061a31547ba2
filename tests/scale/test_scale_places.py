"""Addresses: what is found behind them, what is fetched and sent, and what is said when it cannot be."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

import scenes
from likeness import folder
from likeness.photo import PhotoError
from likeness.scale import places
from likeness.scale.plan import plan

pytest.importorskip("fsspec", reason="needs fsspec, which Ray Data brings: the extra scale")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Photos in two folders, one pair with one stem, and what is no photo."""
    album = tmp_path / "album"
    for name in ("a.jpg", "a.png", "sub/b.PNG", ".hidden/c.png", "notes.txt", "sub/.d.png"):
        path = album / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(scenes.encoded(scenes.landscape(8, 8), "PNG"))
    return album


def test_the_plan_is_that_of_the_plain_run(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    wanted = [(path.as_uri(), stem) for path, stem in folder.plan([album], out)]
    assert [(job.source, job.stem) for job in plan([album.as_uri()], out.as_uri())] == wanted
    assert len(wanted) == 3
    near = [(job.source, job.stem) for job in plan([album], out.as_uri())]
    assert near == [(str(path), stem) for path, stem in folder.plan([album], out)]
    assert [job.source for job in plan([album / "a.jpg", (album / "a.jpg").as_uri()], out)] == [str(album / "a.jpg")]


def test_earlier_results_are_no_inputs(album: Path) -> None:
    (album / "out").mkdir()
    (album / "out" / "a.png").write_bytes(b"")
    assert len(plan([album.as_uri()], f"{album.as_uri()}/out")) == 3


@pytest.mark.parametrize("output", ["", "/"], ids=["as it is", "with a slash"])
def test_an_input_is_not_overwritten(album: Path, output: str) -> None:
    with pytest.raises(PhotoError, match="would be overwritten"):
        plan([album], album.as_uri() + output)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("file:///no/such/folder", "no such file"),
        ("file:///no/such/*.jpg", "no file matches"),
        ("nonsense://a/b", "nonsense"),
    ],
)
def test_what_is_not_there_is_one_line(address: str, words: str) -> None:
    with pytest.raises(PhotoError, match=words) as error:
        plan([address], "file:///tmp/out")
    assert str(error.value).startswith(address)
    assert "\n" not in str(error.value)


def test_a_folder_without_photos(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="no photos"):
        plan([tmp_path.as_uri()], "file:///tmp/out")


def test_sent_and_fetched_whole(tmp_path: Path) -> None:
    file, address = tmp_path / "a.bin", f"{tmp_path.as_uri()}/far/deep/b.bin"
    assert places.fetch_bytes(address) is None
    assert not places.exists(address)
    for data in (b"first", b"second"):
        file.write_bytes(data)
        places.send(file, address)
        assert places.fetch_bytes(address) == data
    places.fetch(address, tmp_path / "new" / "c.bin")
    assert (tmp_path / "new" / "c.bin").read_bytes() == b"second"
    assert [path.name for path in (tmp_path / "far" / "deep").iterdir()] == ["b.bin"]
    places.remove(address)
    assert not places.exists(address)


def test_what_cannot_be_sent_says_where(tmp_path: Path) -> None:
    file, address = tmp_path / "a.bin", f"{tmp_path.as_uri()}/taken/b.bin"
    file.write_bytes(b"data")
    (tmp_path / "taken").write_bytes(b"a file, where a folder is needed")
    with pytest.raises(PhotoError) as error:
        places.send(file, address)
    assert str(error.value).startswith(f"{address}: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "taken"]


def test_two_names_of_one_place(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    names = (tmp_path / "real", (tmp_path / "real").as_uri(), f"{(tmp_path / 'link').as_uri()}/")
    assert {places.canonical(str(name)) for name in names} == {("file", PurePosixPath(tmp_path.resolve() / "real"))}


def test_plain_restore_wants_ray_for_addresses(album: Path, tmp_path: Path, command) -> None:  # type: ignore[no-untyped-def]
    for arguments in (
        ("restore", album.as_uri(), "-o", tmp_path / "out"),
        ("restore", album, "-o", "s3://bucket/out"),
        ("restore", album, "-o", tmp_path / "out", "--workers", 2),
    ):
        ended = command(*arguments)
        assert ended.status == 2
        assert len(ended.lines) == 1
        assert "--ray local" in ended.err
    assert not (tmp_path / "out").exists()
