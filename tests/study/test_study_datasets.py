"""Data sets as data: the entries, finding them on disk, fetching and unpacking them from a server on loopback."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import scenes
from file_server import Server, names_below, serving, sha256
from likeness.study import datasets, fetching, figshare, unpacking
from likeness.study.datasets import Dataset, DatasetError, DatasetLicenceError
from likeness.weights import download

Listed = Callable[..., Dataset]
PICTURE = bytes(range(256)) * 40  # 10,240 bytes under the name of a picture: only names are counted
PICTURES = {f"tiny/{n:02}.png": PICTURE + bytes([n]) for n in range(3)}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, with a network that reaches loopback and no farther."""
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    for name in ("LIKENESS_DATA", "LIKENESS_OFFLINE", "LIKENESS_MIRROR", *proxies, *map(str.lower, proxies)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "BACKOFF", 0.01)
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listed]:
    """Make ``tiny`` the only data set, with the given fields; returns it."""
    path = tmp_path / "datasets.yaml"
    monkeypatch.setattr(datasets, "DATASETS", path)

    def put(**fields: Any) -> Dataset:
        facts: dict[str, Any] = {
            "name": "tiny",
            "title": "Tiny Set",
            "what": "Three pictures",
            "licence": "CC BY 4.0",
            "permits": "Any use.",
            "non_commercial": False,
            "page": "https://example.org/tiny",
            "how": "Ask the test.",
            "parts": [{"role": "pictures", "globs": ["**/*"], "count": 3, "meaning": "a number"}],
        }
        path.write_text(yaml.safe_dump([facts | fields]), encoding="utf-8")
        datasets.datasets.cache_clear()
        return datasets.find("tiny")

    yield put
    datasets.datasets.cache_clear()


def zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        for name, data in members.items():
            packed.writestr(zipfile.ZipInfo(name), data)
    return made.getvalue()


def tarred(members: dict[str, bytes], *more: tarfile.TarInfo, mode: str = "w:gz") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as packed:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
        for info in more:
            packed.addfile(info)
    return made.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def archive(server: Server, data: bytes, file: str = "tiny.zip", **facts: Any) -> dict[str, Any]:
    return {"archives": [{"file": file, "urls": [server.give(file, data)]} | facts]}


def refused(*parts: str, **how: Any) -> str:
    """The one line with which ``fetch`` refuses."""
    with pytest.raises(DatasetError) as caught:
        fetching.fetch("tiny", **how)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in parts:
        assert part in message, message
    return message


# the entries


def test_the_data_sets_of_the_papers_are_listed() -> None:
    counts = {one.name: one.count for one in datasets.datasets()}
    assert counts == {
        "ffhq": 70000, "celeba-hq": 30000, "celeba-hq-test": 3000, "celeba-test": 6000, "celeba-test-daefr": 6000,
        "lfw-test": 1711, "webphoto-test": 407, "wider-test": 970, "celebchild-test": 180, "ntire-test": 450,
        "scface": 4160, "london": None, "omi": 1004,
    }  # fmt: skip
    assert datasets.find("scface").access == "by request"
    assert datasets.find("london").licence == "CC BY 4.0"
    assert datasets.find("london").page == "https://doi.org/10.6084/m9.figshare.5047666"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"title": " "}, "title"),
        ({"name": "Tiny set"}, "name"),
        ({"licence": None}, "non_commercial"),
        ({"page": "example.org"}, "page"),
        ({"parts": []}, "parts"),
        ({"parts": [{"role": "pictures", "globs": ["../*"], "meaning": "x"}]}, "below the folder"),
        ({"count": 0}, "count"),
        ({"archives": [{"file": "a/b.zip"}]}, "without folders"),
        ({"archives": [{"file": "b.rar"}]}, ".tar.gz"),
        ({"archives": [{"file": "b.zip", "sha256": "12"}]}, "64 hexadecimal"),
        ({"by_request": True, "archives": [{"file": "b.zip"}]}, "by request"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_entry_is_named(listed: Listed, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(DatasetError, match="data set '") as caught:
        listed(**fields)
    assert named in str(caught.value)


def test_a_name_may_not_occur_twice(listed: Listed) -> None:
    listed()
    with pytest.raises(DatasetError, match="'tiny': its name occurs twice"):
        datasets.read_datasets(datasets.DATASETS.read_text() * 2)


# finding them on disk


def lay(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PICTURE)
    return folder


def test_a_data_set_that_is_absent_says_what_is_missing(home: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        datasets.locate("celeba-test")
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in (
        "truth: pictures **/hq/*", "3,000 expected, 0 there", "input: pictures **/lq/*",
        "https://xinntao.github.io/projects/gfpgan", str(home / "datasets/celeba-test"), "--data",
    ):  # fmt: skip
        assert part in message, message


def test_a_data_set_is_found_where_it_is_whole(
    home: Path, listed: Listed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed()
    names = ("a/0.png", "1.JPG", "b/c/2.webp")
    below_home = lay(home / "datasets/tiny", *names)
    assert datasets.locate("tiny") == below_home
    monkeypatch.setenv("LIKENESS_DATA", str(tmp_path / "data"))
    assert datasets.locate("tiny") == below_home
    chosen = lay(tmp_path / "data/tiny", *names)
    assert datasets.locate("tiny") == chosen
    (chosen / "1.JPG").unlink()  # the whole one goes before
    assert datasets.locate("tiny") == below_home
    mine = lay(tmp_path / "mine", *names)
    assert datasets.locate("tiny", mine) == mine


def test_a_data_set_that_is_not_whole_says_how_much_is_there(listed: Listed, tmp_path: Path) -> None:
    listed()
    folder = lay(tmp_path / "mine", "0.png", "1.png", ".hidden.png", "__MACOSX/._2.png", "notes.txt")
    with pytest.raises(DatasetError, match=r"pictures \*\*/\*, 3 expected, 2 there.*Ask the test"):
        datasets.locate("tiny", folder)
    assert datasets.locate("tiny", folder, partial=True) == folder
    lay(folder, "3.png", "4.png")
    with pytest.raises(DatasetError, match="3 expected, 4 there"):  # another set than the one of the papers
        datasets.locate("tiny", folder)
    with pytest.raises(DatasetError, match=f"there is no folder {tmp_path / 'nowhere'}"):
        datasets.locate("tiny", tmp_path / "nowhere", partial=True)


def test_pairs_are_told_apart_by_their_folders(listed: Listed, tmp_path: Path) -> None:
    part = {"count": 2, "meaning": "x"}
    globs = {"truth": ["**/hq/*", "**/old_hq/*"], "input": ["**/lq/*"]}
    dataset = listed(parts=[{"role": role, "globs": patterns} | part for role, patterns in globs.items()])
    folder = lay(tmp_path / "mine", "x/old_hq/b.png", "x/old_hq/a.png", "x/lq/a.png")
    assert [one.found for one in datasets.check(dataset, folder)] == [2, 1]
    assert [path.name for path in datasets.files(dataset, folder, "truth")] == ["a.png", "b.png"]
    with pytest.raises(DatasetError, match=r"input: .* 2 expected, 1 there") as caught:
        datasets.locate("tiny", folder)
    assert "truth" not in str(caught.value)


def test_scface_is_known_by_its_names(tmp_path: Path) -> None:
    scface = datasets.find("scface")
    lay(tmp_path, "mugshot/001_frontal.jpg", "cams/001_cam1_1.jpg", "cams/001_cam5_3.jpg", "ir/001_cam6_1.jpg")
    assert {one.part.role: one.found for one in datasets.check(scface, tmp_path)} == {"mugshot": 1, "camera": 2}


# fetching


@pytest.mark.parametrize("kind", ["tiny.zip", "tiny.tar", "tiny.tar.gz"])
def test_a_data_set_comes_whole_and_is_pinned(home: Path, listed: Listed, server: Server, kind: str) -> None:
    data = zipped(PICTURES) if kind == "tiny.zip" else tarred(PICTURES, mode="w" if kind == "tiny.tar" else "w:gz")
    listed(**archive(server, data, kind))
    said: list[str] = []
    seen: list[tuple[int, int | None]] = []
    folder = fetching.fetch("tiny", say=said.append, progress=lambda done, total: seen.append((done, total)))
    assert folder == home / "datasets/tiny" == datasets.locate("tiny")
    assert {path.name: path.read_bytes() for path in (folder / "tiny").iterdir()} == {
        name.removeprefix("tiny/"): content for name, content in PICTURES.items()
    }
    assert names_below(home) == {"datasets/tiny.json", *(f"datasets/tiny/{name}" for name in PICTURES)}
    assert json.loads((home / "datasets/tiny.json").read_text())["archives"][kind]["sha256"] == sha256(data)
    assert seen[-1] == (len(data), len(data))
    assert said == [f"tiny: nobody has stated the sha256 of {kind}; pinned on first use: {sha256(data)}"]
    assert fetching.fetch("tiny") == folder
    assert len(server.seen) == 1  # what is there is not fetched again


def test_a_download_goes_on_where_it_broke(listed: Listed, server: Server) -> None:
    data = zipped({f"{n}.png": PICTURE * 10 for n in range(3)})
    cut = 6 * download.BLOCK
    listed(**archive(server, data, sha256=sha256(data)))
    server.files["/tiny.zip"].drop_after = cut
    server.files["/tiny.zip"].drops = 1
    said: list[str] = []
    fetching.fetch("tiny", say=said.append)
    assert server.seen == [("/tiny.zip", None), ("/tiny.zip", f"bytes={cut}-")]
    assert said == []  # its sha256 is stated: nothing to pin


def test_what_was_pinned_must_come_again(home: Path, listed: Listed, server: Server) -> None:
    listed(**archive(server, zipped(PICTURES)))
    folder = fetching.fetch("tiny")
    for path in (folder / "tiny").iterdir():
        path.unlink()
    (folder / "tiny").rmdir()
    server.give("tiny.zip", zipped(PICTURES | {"tiny/02.png": b"another"}))
    refused("sha256", str(home / "datasets/tiny.json"))
    assert not any(folder.iterdir())


def test_a_wrong_sha256_or_a_page_is_refused(home: Path, listed: Listed, server: Server) -> None:
    listed(**archive(server, zipped(PICTURES), sha256="0" * 64))
    refused(f"not {'0' * 64}", "as stated", "Ask the test")
    listed(**archive(server, b"<!DOCTYPE html><html>sign in</html>"))
    refused("is a web page, not an archive")
    assert names_below(home) == set()


def test_the_licence_comes_first(listed: Listed, server: Server) -> None:
    for licence, kind in (("CC BY-NC 4.0", True), (None, None)):
        listed(**archive(server, zipped(PICTURES)), licence=licence, non_commercial=kind)
        with pytest.raises(DatasetLicenceError, match="likeness dataset fetch tiny --accept-licence"):
            fetching.fetch("tiny")
    assert server.seen == []
    assert fetching.fetch("tiny", accept_licence=True).is_dir()


def test_offline_and_mirror(listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(**archive(server, zipped(PICTURES)))
    monkeypatch.setenv("LIKENESS_OFFLINE", "1")
    refused("LIKENESS_OFFLINE forbids")
    monkeypatch.setenv("LIKENESS_OFFLINE", "0")
    server.give("mirror/tiny.zip", zipped(PICTURES))
    monkeypatch.setenv("LIKENESS_MIRROR", f"{server.url}/mirror/")
    fetching.fetch("tiny")
    assert [path for path, _ in server.seen] == ["/mirror/tiny.zip"]


def test_what_cannot_be_fetched_says_how_to_get_it() -> None:
    with pytest.raises(DatasetError, match=r"Research only.*Ask its authors.*https://www\.scface\.org/"):
        fetching.fetch("scface", accept_licence=True)


def article(server: Server, *names: str) -> bytes:
    """What figshare's interface says of an article that holds these files."""
    files = [{"name": name, "download_url": f"{server.url}/{name}", "size": 1} for name in names]
    return json.dumps({"id": 7, "files": files}).encode()


def test_figshare_is_asked_for_the_address(listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figshare, "INTERFACE", f"{server.url}/articles")
    server.give("articles/7", article(server, "other.zip", "tiny.zip"), type="application/json")
    server.give("tiny.zip", zipped(PICTURES))
    listed(archives=[{"file": "tiny.zip", "figshare": 7}])
    assert datasets.find("tiny").access == "fetch"
    folder = fetching.fetch("tiny")
    assert {path.name for path in (folder / "tiny").iterdir()} == {name.removeprefix("tiny/") for name in PICTURES}
    assert [path for path, _ in server.seen] == ["/articles/7", "/tiny.zip"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "404"),
        (b"<html>Sign in</html>", "no answer of figshare's interface"),
        (b'{"files": [{"name": "tiny.zip"}]}', "no answer of figshare's interface"),
        (b'{"files": [{"name": "big.zip", "download_url": "http://x"}]}', "holds no tiny.zip, but big.zip"),
    ],
)
def test_figshare_that_does_not_help_says_so(
    listed: Listed, server: Server, monkeypatch: pytest.MonkeyPatch, answer: bytes | None, says: str
) -> None:
    monkeypatch.setattr(figshare, "INTERFACE", f"{server.url}/articles")
    if answer is not None:
        server.give("articles/7", answer)
    listed(archives=[{"file": "tiny.zip", "figshare": 7}])
    with pytest.raises(DatasetError, match=says):
        fetching.fetch("tiny")


def test_the_london_set_can_be_fetched() -> None:
    london = datasets.find("london")
    assert london.access == "fetch"
    assert {one.figshare for one in london.archives} == {5047666}


def test_the_files_of_a_user_are_left_alone(home: Path, listed: Listed, server: Server) -> None:
    listed(**archive(server, zipped(PICTURES)))
    lay(home / "datasets/tiny", "mine.png")
    refused("3 expected, 1 there", "move it away")
    assert names_below(home) == {"datasets/tiny/mine.png"}
    assert server.seen == []


def test_an_archive_that_lacks_pictures_is_refused(home: Path, listed: Listed, server: Server) -> None:
    listed(**archive(server, zipped({"0.png": PICTURE, "readme.txt": b"two are missing"})))
    refused("3 expected, 1 there")
    assert names_below(home) == set()
    assert not (home / "datasets/tiny").exists()


# archives that mean harm

ZIP_LINK = zipfile.ZipInfo("tiny/03.png")
ZIP_LINK.external_attr = 0o120777 << 16


def zip_with_a_link() -> bytes:
    made = io.BytesIO(zipped(PICTURES))
    with zipfile.ZipFile(made, "a") as packed:
        packed.writestr(ZIP_LINK, "../../../outside.png")
    return made.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("file", "make", "reason"),
    [
        ("tiny.zip", lambda: zipped({"../outside.png": PICTURE}), "leads out of its folder"),
        ("tiny.zip", lambda: zipped({"a/../../../outside.png": PICTURE}), "leads out of its folder"),
        ("tiny.zip", lambda: zipped({"/tmp/outside.png": PICTURE}), "leads out of its folder"),
        ("tiny.zip", lambda: zipped({"..\\outside.png": PICTURE}), "leads out of its folder"),
        ("tiny.zip", zip_with_a_link, "not a plain file"),
        ("tiny.tar", lambda: tarred({"../outside.png": PICTURE}), "leads out of its folder"),
        ("tiny.tar", lambda: tarred({"/tmp/outside.png": PICTURE}), "leads out of its folder"),
        ("tiny.tar", lambda: tarred(PICTURES, link("l", "../..")), "not a plain file"),
        ("tiny.tar", lambda: tarred(PICTURES, link("l", "tiny/00.png", tarfile.LNKTYPE)), "not a plain file"),
        ("tiny.tar", lambda: tarred(PICTURES, link("pipe", "", tarfile.FIFOTYPE)), "not a plain file"),
        ("tiny.tar", lambda: tarred(PICTURES | {"./tiny/00.png": PICTURE}), "twice"),
        ("tiny.tar", lambda: tarred({"0.png": bytes(4 << 20)}), "unpacks to more than"),
        ("tiny.zip", lambda: zipped(PICTURES)[:-40], "can be unpacked"),
        ("tiny.tar", lambda: tarred(PICTURES)[:-300], "can be unpacked"),
        ("tiny.zip", lambda: b"no archive at all", "can be unpacked"),
    ],
)
def test_a_harmful_archive_leaves_nothing_behind(
    tmp_path: Path, home: Path, listed: Listed, server: Server, file: str, make: Callable[[], bytes], reason: str
) -> None:
    listed(**archive(server, make(), file))
    before = names_below(tmp_path)
    with pytest.raises(DatasetError, match=reason):
        fetching.fetch("tiny")
    assert names_below(tmp_path) == before
    assert not Path("/tmp/outside.png").exists()
    assert not (home / "datasets/tiny").exists()


def test_a_zip_that_swells_is_stopped(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("0.png", bytes(50 << 20))
    bomb = tmp_path / "bomb.zip"
    bomb.write_bytes(made.getvalue())
    assert len(made.getvalue()) < 100_000
    with pytest.raises(DatasetError, match="unpacks to more than"):
        unpacking.unpack(bomb, tmp_path / "out", ".zip")
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file()) < 4 << 20
    unpacking.unpack(bomb, tmp_path / "more", ".zip", cap=60 << 20)
    assert (tmp_path / "more/0.png").stat().st_size == 50 << 20


# the command, called by itself until the command line knows it


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., scenes.Ended]:
    from likeness.cli.dataset import app

    def run(*arguments: str) -> scenes.Ended:
        capfd.readouterr()
        status = 0
        try:
            app(list(arguments))
        except SystemExit as error:
            status = int(error.code or 0)
        seen = capfd.readouterr()
        return scenes.Ended(status, seen.out, seen.err)

    return run


def test_list_shows_what_there_is(command: Callable[..., scenes.Ended], home: Path) -> None:
    ended = command("list")
    assert (ended.status, ended.err) == (0, "")
    for dataset in datasets.datasets():
        assert dataset.name in ended.out
    assert "by request" in ended.out
    assert "70,000" in ended.out
    lay(home / "datasets/london", *(f"{n:03}_{look}.jpg" for n in range(102) for look in ("03", "08")))
    lay(home / "datasets/omi", "1.jpg")
    rows = {row["name"]: row for row in json.loads(command("list", "--json").out)["datasets"]}
    assert (rows["london"]["here"], rows["omi"]["here"], rows["ffhq"]["here"]) == ("yes", "incomplete", "")
    assert rows["london"]["path"] == str(home / "datasets/london")


def test_show_says_what_and_where(command: Callable[..., scenes.Ended], home: Path) -> None:
    out = command("show", "celeba-test").out
    for part in ("3,000 pictures **/hq/*", "https://xinntao", str(home / "datasets/celeba-test"), "GFPGAN, PMRF"):
        assert part in out
    ended = command("show", "nothing")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == "likeness: no data set is called 'nothing'; likeness dataset list shows the names\n"


def test_fetch_ends_as_it_went(
    command: Callable[..., scenes.Ended], listed: Listed, server: Server, home: Path
) -> None:
    listed(**archive(server, zipped(PICTURES)), licence="CC BY-NC 4.0", non_commercial=True)
    ended = command("fetch", "tiny")
    assert ended.status == 2
    assert "--accept-licence" in ended.err
    ended = command("fetch", "tiny", "--accept-licence")
    assert (ended.status, ended.out) == (0, "")
    assert ended.err.endswith(f"tiny: {home / 'datasets/tiny'}\n")
    listed()
    assert command("fetch", "tiny").status == 0  # it is here
    assert command("fetch", "nothing").status == 2


def test_fetch_that_fails_says_so(command: Callable[..., scenes.Ended], listed: Listed, server: Server) -> None:
    listed(**archive(server, b"no archive at all"))
    ended = command("fetch", "tiny")
    assert ended.status == 1
    assert len(ended.err.splitlines()) == 1
