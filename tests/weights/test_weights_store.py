"""The store without a network: where it is, what it holds, adding by hand, verifying."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from file_server import DATA, names_below, sha256
from likeness.weights import store
from likeness.weights.catalogue import Entry
from likeness.weights.errors import WeightsError

Listed = Callable[..., Entry]
SUM = sha256(DATA)
PARTS = ["eye.npy", "nose.npy"]


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    path = tmp_path / "from the browser.bin"
    path.write_bytes(DATA)
    return path


def put(home: Path, data: bytes = DATA) -> Path:
    """A file that somebody copied into the store."""
    path = home / "weights/tiny.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_home(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert store.home() == home
    monkeypatch.delenv("LIKENESS_HOME")
    assert store.home().is_absolute()
    assert "likeness" in str(store.home())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert str(store.home()).startswith(str(tmp_path))
    monkeypatch.setenv("LIKENESS_HOME", "~/weights of mine")
    assert store.home() == tmp_path / "weights of mine"


def test_a_missing_file_says_what_to_type(listed: Listed) -> None:
    entry = listed("tiny-2", method="tiny")
    for ask in (lambda: store.locate("tiny"), lambda: store.locate("tiny-2"), lambda: store.verify(entry)):
        with pytest.raises(WeightsError, match=r"not here: type likeness models pull tiny-2$"):
            ask()
    assert (store.state(entry), store.is_here(entry), store.size(entry)) == ("absent", False, None)


def test_another_file_of_the_method_is_offered_but_not_taken(home: Path, listed: Listed) -> None:
    listed("tiny-2", method="tiny", file="two.pth")
    listed("tiny-1", method="tiny", default=False, file="tiny.pth")
    path = put(home)
    with pytest.raises(WeightsError) as caught:
        store.locate("tiny")
    for part in ("likeness models pull tiny-2", "or choose one that is here, with --weights tiny-1"):
        assert part in str(caught.value)
    assert store.locate("tiny-1") == path


def test_a_file_of_another_size_is_not_located(home: Path, listed: Listed) -> None:
    entry = listed(bytes=len(DATA))
    put(home, DATA[:-1])
    with pytest.raises(WeightsError, match="not whole: type likeness models pull tiny"):
        store.locate("tiny")
    assert store.state(entry) == "damaged"


def test_a_file_that_shrank_since_it_was_pinned_is_not_located(home: Path, listed: Listed, downloaded: Path) -> None:
    path = store.add(listed(), downloaded)
    path.write_bytes(DATA[:-1])
    with pytest.raises(WeightsError, match="not whole"):
        store.locate("tiny")


def test_a_file_without_record_is_compared_when_it_is_located(home: Path, listed: Listed) -> None:
    listed(sha256=SUM)
    path = put(home)
    assert store.locate("tiny") == path
    put(home, DATA[:-1] + b"x")
    with pytest.raises(WeightsError, match=rf"not {SUM}.*likeness models pull tiny"):
        store.locate("tiny")


def test_a_record_of_another_file_is_noticed(home: Path, listed: Listed, downloaded: Path) -> None:
    """The catalogue learnt the sha256 after the file was pinned."""
    store.add(listed(), downloaded)
    entry = listed("tiny-2", sha256=sha256(b"other"), bytes=len(DATA))
    path = store.place(entry)
    (home / "weights/tiny.pth").replace(path)
    (home / "weights/tiny.pth.json").replace(f"{path}.json")
    with pytest.raises(WeightsError, match="not the file of the catalogue"):
        store.locate("tiny-2")


def test_adding_by_hand(home: Path, listed: Listed, downloaded: Path) -> None:
    said: list[str] = []
    path = store.add(listed(non_commercial=True), downloaded, said.append)
    assert path.read_bytes() == DATA
    assert downloaded.exists()
    assert "pinned on first use" in said[0]
    assert store.locate("tiny") == path
    assert names_below(home) == {"weights/tiny.pth", "weights/tiny.pth.json"}


@pytest.mark.parametrize("wrong", ["absent", "folder", "page", "sha256", "size"])
def test_adding_a_wrong_file(home: Path, listed: Listed, downloaded: Path, tmp_path: Path, wrong: str) -> None:
    entry = listed(sha256=SUM if wrong == "sha256" else None, bytes=len(DATA) if wrong == "size" else None)
    data = {"sha256": b"x" + DATA[1:], "size": DATA[1:], "page": b"<html>Quota exceeded</html>"}
    downloaded.write_bytes(data.get(wrong, DATA))
    source = {"absent": tmp_path / "nowhere.pth", "folder": tmp_path}.get(wrong, downloaded)
    with pytest.raises(WeightsError) as caught:
        store.add(entry, source)
    assert len(str(caught.value).splitlines()) == 1
    assert names_below(home) == set()


def test_verify(home: Path, listed: Listed) -> None:
    entry = listed(sha256=SUM)
    path = put(home)
    assert store.verify(entry).against == "catalogue"
    path.write_bytes(b"x" + DATA[1:])
    assert store.locate("tiny") == path, "the size is right"
    with pytest.raises(WeightsError, match=rf"not {SUM} \(the test\).*likeness models pull tiny"):
        store.verify(entry)


def test_verify_pins_what_has_no_sha256(home: Path, listed: Listed) -> None:
    entry, said = listed(), []
    path = put(home)
    assert store.verify(entry, said.append).sha256 == SUM
    assert "pinned on first use" in said[0]
    store.verify(entry, said.append)
    assert len(said) == 1
    path.write_bytes(b"x" + DATA[1:])
    with pytest.raises(WeightsError, match="when it first came"):
        store.verify(entry)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": 1}'])
def test_a_damaged_record_is_an_error_that_says_what_to_do(home: Path, listed: Listed, text: str) -> None:
    entry = listed()
    path = put(home)
    record = path.with_name("tiny.pth.json")
    record.write_text(text)
    for ask in (store.verify, store.pull, lambda e: store.locate(e.name)):
        with pytest.raises(WeightsError, match="remove it"):
            ask(entry)
    assert store.state(entry) == "damaged"


def test_a_store_that_cannot_be_written_can_be_read(home: Path, listed: Listed, downloaded: Path) -> None:
    path = store.add(listed(), downloaded)
    path.parent.chmod(0o555)
    try:
        assert store.locate("tiny") == path
        assert store.verify(store.find("tiny")).sha256 == SUM
    finally:
        path.parent.chmod(0o755)


def test_the_name_of_a_file(home: Path, listed: Listed, downloaded: Path) -> None:
    listed("stated", sha256=sha256(b"stated"))
    store.add(listed("pinned"), downloaded)
    assert store.name_of(sha256(b"stated")) == "stated"
    assert store.name_of(SUM) == "pinned"
    assert store.name_of(sha256(b"other")) is None


# a release that is a folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "dictionaries"
    path.mkdir()
    for name in [*PARTS, "readme.txt"]:
        (path / name).write_bytes(name.encode())
    return path


def test_a_folder(home: Path, listed: Listed, folder: Path) -> None:
    entry = listed(file="Center", parts=PARTS)
    path = store.add(entry, folder)
    assert path == home / "weights/Center" == store.locate("tiny")
    assert names_below(home) == {"weights/Center.json", "weights/Center/eye.npy", "weights/Center/nose.npy"}
    assert store.size(entry) == sum(len(name) for name in PARTS)
    assert store.add(entry, folder) == path, "once more, over the old one"
    (path / "eye.npy").write_bytes(b"other")
    with pytest.raises(WeightsError, match="when it first came"):
        store.verify(entry)
    (path / "eye.npy").unlink()
    with pytest.raises(WeightsError, match="not whole"):
        store.locate("tiny")


def test_a_folder_with_a_part_missing(home: Path, listed: Listed, folder: Path) -> None:
    (folder / "nose.npy").unlink()
    with pytest.raises(WeightsError, match=r"nose\.npy"):
        store.add(listed(parts=PARTS), folder)
    assert names_below(home) == set()


def test_a_folder_is_not_fetched(listed: Listed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_MIRROR", "http://127.0.0.1:1")
    with pytest.raises(WeightsError, match=r"get the folder Center from .* likeness models add tiny FOLDER"):
        store.pull(listed(file="Center", parts=PARTS))


def test_records_are_json(home: Path, listed: Listed, downloaded: Path) -> None:
    record = json.loads(Path(f"{store.add(listed(), downloaded)}.json").read_text(encoding="utf-8"))
    assert record["entry"] == "tiny"
    assert record["origin"] == str(downloaded)
    assert record["bytes"] == len(DATA)
