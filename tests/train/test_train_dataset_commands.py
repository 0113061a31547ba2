"""likeness dataset align, filter, split and pack: real files, real processes."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import tarfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import scenes
from likeness.train.dataset.align import align
from likeness.train.dataset.filtering import filter_crops
from likeness.train.dataset.pack import pack, parse_size
from likeness.train.dataset.screen import Screens
from likeness.train.dataset.split import PARTS, parse_parts, part_of, split
from likeness.train.pictures import Pictures, find_pictures, read_picture

LOOSE = Screens(min_size=80, duplicate_bits=-1, person_bits=-1)
LONDON = Path(__file__).parents[3] / "shared" / "faces" / "london-even-000.tar"


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file that a user sees, with its bytes."""
    found = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".")}


def u8(crop: np.ndarray) -> np.ndarray:
    return np.rint(crop * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A group of three, a landscape, a portrait in a folder with a Polish name, one that is blurred, one broken."""
    home = tmp_path_factory.mktemp("photos")
    (home / "ślub").mkdir()
    portrait = scenes.portrait(512)
    (home / "group.jpg").write_bytes(scenes.encoded(scenes.group()))
    (home / "land.png").write_bytes(scenes.encoded(scenes.landscape(), "PNG"))
    (home / "ślub" / "Żaneta.png").write_bytes(scenes.encoded(np.ascontiguousarray(portrait), "PNG"))
    (home / "soft.jpg").write_bytes(scenes.encoded(cv2.GaussianBlur(portrait, (0, 0), 3)))
    (home / "broken.jpg").write_bytes(scenes.encoded(portrait)[:3000])
    return home


@pytest.fixture(scope="module")
def aligned(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("aligned") / "out"
    align([photos], out, LOOSE)
    return out


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people with two aligned pictures each, by name; nothing about them is alike but that they are faces."""
    home = tmp_path_factory.mktemp("crops") / "in"
    home.mkdir()
    face = u8(scenes.aligned_face())
    for person in range(6):
        for shot in range(2):
            pixels = np.roll(face, 7 * person + 2 * shot, axis=1)
            (home / f"p{person}_{shot}.png").write_bytes(scenes.encoded(pixels, "PNG"))
    return home


# align


def test_align_keeps_the_faces_and_says_of_the_rest_why(photos: Path, aligned: Path) -> None:
    by_name = {(Path(r["source"]).name, r["face"]): r for r in records(aligned)}
    assert {key: r["status"] for key, r in by_name.items()} == {
        ("group.jpg", 1): "kept",
        ("group.jpg", 2): "kept",
        ("group.jpg", 3): "kept",
        ("Żaneta.png", 1): "kept",
        ("land.png", None): "dropped",
        ("soft.jpg", 1): "dropped",
        ("broken.jpg", None): "failed",
    }
    assert by_name["land.png", None]["reasons"] == ["no face found"]
    assert by_name["soft.jpg", 1]["dropped_by"] == ["sharpness"]
    assert "damaged, cut short" in by_name["broken.jpg", None]["reasons"][0]
    kept = {r["output"] for r in by_name.values() if r["output"]}
    assert kept == {f"faces/{n}.png" for n in ("group_01", "group_02", "group_03", "ślub/Żaneta_01")}
    assert set(tree(aligned)) == {*kept, "manifest.jsonl", "summary.json"}
    summary = json.loads((aligned / "summary.json").read_text(encoding="utf-8"))
    assert summary["counts"] == {"records": 7, "kept": 4, "dropped": 2, "failed": 1}
    assert summary["dropped_by"] == {"no face": 1, "sharpness": 1}
    for name, r in by_name.items():
        assert r["source_sha256"] == hashlib.sha256((photos / r["source"]).read_bytes()).hexdigest(), name


def test_the_crop_is_the_photo_through_the_transform_of_the_record(photos: Path, aligned: Path) -> None:
    (record,) = [r for r in records(aligned) if r["source"].endswith("Żaneta.png")]
    data = (aligned / record["output"]).read_bytes()
    assert record["output_sha256"] == hashlib.sha256(data).hexdigest()
    crop = np.asarray(Image.open(io.BytesIO(data)))
    assert crop.shape == (512, 512, 3)
    photo = np.asarray(Image.open(record["source"]))
    warped = cv2.warpAffine(photo, np.array(record["transform"]), (512, 512), flags=cv2.INTER_CUBIC)
    inner = (slice(60, 452), slice(60, 452))
    assert np.abs(crop[inner].astype(int) - warped[inner]).mean() < 1
    eyes = np.array(record["landmarks"]) @ np.array(record["transform"])[:, :2].T + np.array(record["transform"])[:, 2]
    assert eyes[:2].mean(axis=0) == pytest.approx([318, 241], abs=12)  # the FFHQ template's right eye
    assert all(read_picture(entry).shape == (512, 512, 3) for entry in find_pictures([str(aligned / "faces")]))


def test_largest_and_small_and_duplicates(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    align([photos / "group.jpg"], out, Screens(min_size=110), faces="largest")
    assert [r["dropped_by"] for r in records(out)] == [[], ["not largest", "size"], ["not largest", "size"]]
    align([photos / "group.jpg"], out, Screens(min_size=80, duplicate_bits=2))
    assert [r["dropped_by"] for r in records(out)] == [[], ["duplicate"], ["duplicate"]]
    assert {r["duplicate_of"] for r in records(out)[1:]} == {"faces/group_01.png"}
    assert set(tree(out / "faces")) == {"group_01.png"}


def test_threads_and_a_second_run_change_nothing(photos: Path, aligned: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    align([photos], out, LOOSE, workers=3)
    assert tree(out) == tree(aligned)
    times = {p: p.stat().st_mtime_ns for p in (out / "faces").rglob("*.png")}
    (out / "faces" / "group_02.png").write_bytes(b"torn")
    align([photos], out, LOOSE)
    assert tree(out) == tree(aligned)
    assert [p.name for p, t in times.items() if p.stat().st_mtime_ns != t] == ["group_02.png"]


def test_align_refuses_what_it_cannot_do(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine" / "faces").mkdir(parents=True)
    (tmp_path / "mine" / "faces" / "cat.jpg").write_bytes(b"meow")
    with pytest.raises(ValueError, match=r"not made by this command, such as cat\.jpg: choose another"):
        align([photos], tmp_path / "mine")
    with pytest.raises(ValueError, match="lies in"):
        align([photos], photos / "out")
    with pytest.raises(ValueError, match="unknown choice of faces 'both'"):
        align([photos], tmp_path / "out", faces="both")
    assert not (photos / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_align_killed_and_run_again_is_as_never_killed(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(8):
        shaded = np.rint(scenes.portrait(240) * (0.4 + 0.06 * number)).clip(0, 255).astype(np.uint8)
        (source / f"{number}.jpg").write_bytes(scenes.encoded(shaded))
    options = ("--min-size", 50, "--min-sharpness", 0, "--duplicate-bits", -1, "--person-bits", -1)
    whole = tmp_path / "whole"
    assert scenes.likeness("dataset", "align", source, "-o", whole, *options).status == 0
    assert len(list((whole / "faces").iterdir())) == 8
    for where, count in ((".likeness/measured", 3), ("faces", 1)):  # while measuring, while writing
        out = tmp_path / where.replace("/", "-").strip(".")
        process = scenes.start("dataset", "align", source, "-o", out, *options)
        deadline = time.monotonic() + 100
        while len(list((out / where).glob("[!.]*"))) < count:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert not (out / "summary.json").exists()
        assert scenes.likeness("dataset", "align", source, "-o", out, *options).status == 0
        assert tree(out) == tree(whole)


def test_the_commands_one_after_the_other(photos: Path, tmp_path: Path) -> None:
    """Exit statuses, one JSON document, one line for people."""
    loose = ("--min-size", 80, "--duplicate-bits", -1, "--person-bits", -1)
    ended = scenes.likeness("dataset", "align", photos, "-o", tmp_path / "a", *loose, "--json")
    assert ended.status == 1
    assert json.loads(ended.out)["counts"]["kept"] == 4
    assert len(ended.lines) == 1
    assert ended.lines[0].startswith(f"failed: {photos / 'broken.jpg'}: damaged")
    ended = scenes.likeness("dataset", "filter", tmp_path / "a", "-o", tmp_path / "f", *loose, "--keep", "size>120")
    assert (ended.status, ended.lines) == (0, [])
    assert ended.out.splitlines()[0].endswith("f: 1 kept, 3 dropped, 0 failed")
    ended = scenes.likeness("dataset", "split", tmp_path / "f", "-o", tmp_path / "s", "--by", "folder")
    assert (ended.status, ended.lines) == (0, [])
    ended = scenes.likeness("dataset", "pack", tmp_path / "s", "-o", tmp_path / "p", "--json")
    assert ended.status == 0
    (shard,) = json.loads(ended.out)["shards"]
    assert read_picture(find_pictures([str(tmp_path / "p" / shard["shard"])])[0]).shape == (512, 512, 3)
    for wrong, said in (
        (("filter", tmp_path / "a", "-o", tmp_path / "x", "--keep", "blur>1"), "unknown figure 'blur'"),
        (("split", tmp_path / "a", "-o", tmp_path / "x", "--parts", "a=0.5"), "must sum to 1"),
        (("split", tmp_path / "a", "-o", tmp_path / "x", "--person", "("), "no regular expression"),
        (("pack", tmp_path / "a", "-o", tmp_path / "x", "--size", "big"), "a size looks like 44M"),
        (("pack", tmp_path / "absent", "-o", tmp_path / "x"), "no pictures in"),
        (("align", photos, "-o", tmp_path / "x", "--detector", "eyes"), "unknown detector 'eyes'"),
    ):
        ended = scenes.likeness("dataset", *wrong)
        assert (ended.status, len(ended.lines)) == (2, 1), wrong
        assert said in ended.err
    assert not (tmp_path / "x").exists()


# filter


def test_filter_copies_bytes_and_names_of_folders_and_shards(tmp_path: Path) -> None:
    face = scenes.aligned_face()
    soft = u8(cv2.GaussianBlur(face, (0, 0), 4))
    members = {
        "good.jpg": scenes.encoded(u8(face)),
        "soft.png": scenes.encoded(soft, "PNG"),
        "twice.jpg": scenes.encoded(cv2.GaussianBlur(u8(face), (0, 0), 0.7)),
        "nobody.png": scenes.encoded(scenes.landscape(512, 512), "PNG"),
        "torn.png": scenes.encoded(soft, "PNG")[:4000],
        "small.png": scenes.encoded(u8(face)[::2, ::2], "PNG"),
    }
    with tarfile.open(tmp_path / "in.tar", "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(f"deep/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (tmp_path / "in").mkdir()
    for name, data in members.items():
        (tmp_path / "in" / name).write_bytes(data)
    for source in ("in.tar", "in"):
        out = tmp_path / f"{source}.out"
        summary = filter_crops([tmp_path / source], out)
        assert tree(out / "faces") == {"good.jpg": members["good.jpg"]}
        assert summary["counts"] == {"records": 6, "kept": 1, "dropped": 3, "failed": 2}
        dropped = {r["name"]: r["dropped_by"] for r in records(out) if r["status"] == "dropped"}
        assert dropped["soft.png"] == ["sharpness"]
        assert dropped["twice.jpg"] == ["duplicate"]
        assert dropped["nobody.png"][0] == "no face"
        assert {f["name"] for f in summary["failed"]} == {"torn.png", "small.png"}
        assert "it is 256x256, not 512x512" in str(summary["failed"])


def test_conditions_see_the_figures_of_align(aligned: Path, tmp_path: Path) -> None:
    sizes = {r["output"]: r["figures"]["size"] for r in records(aligned) if r["output"]}
    filter_crops([aligned], tmp_path / "out", LOOSE, keep=["size>90"], drop=["size>150", "sharpness<0"])
    kept = {f"faces/{name}" for name in tree(tmp_path / "out" / "faces")}
    assert kept == {name for name, size in sizes.items() if 90 < size <= 150}
    assert 0 < len(kept) < len(sizes)
    by_name = {r["name"]: r["dropped_by"] for r in records(tmp_path / "out")}
    assert by_name["ślub/Żaneta_01.png"] == ["drop size>150"]
    assert by_name["group_03.png"] == ["keep size>90"]
    before = tree(aligned / "faces")
    assert all(before[name] == data for name, data in tree(tmp_path / "out" / "faces").items())


# split


def parts_of(folder: Path) -> dict[str, str]:
    return {r["name"]: r["part"] for r in records(folder)}


def test_split_is_by_person_and_newcomers_move_nobody(crops: Path, tmp_path: Path) -> None:
    halves = {"train": 0.5, "test": 0.5}
    summary = split([crops], tmp_path / "a", halves, by="name", person=r"(p\d+)_", leak=None)
    before = parts_of(tmp_path / "a")
    assert set(before.values()) == {"train", "test"}
    assert all(before[f"p{n}_0.png"] == before[f"p{n}_1.png"] == part_of(f"p{n}", halves) for n in range(6))
    assert sum(part["people"] for part in summary["parts"].values()) == 6
    for name, part in before.items():
        assert (tmp_path / "a" / part / name).read_bytes() == (crops / name).read_bytes()
    more = tmp_path / "more"
    more.mkdir()
    for path in crops.iterdir():
        (more / path.name).write_bytes(path.read_bytes())
    (more / "a_first.png").write_bytes((crops / "p0_0.png").read_bytes())  # of nobody
    new = u8(scenes.aligned_face())[::-1]
    (more / "p00_0.png").write_bytes(scenes.encoded(np.ascontiguousarray(new), "PNG"))
    split([more], tmp_path / "b", halves, by="name", person=r"(p\d+)_", leak=None)
    after = parts_of(tmp_path / "b")
    assert {name: after[name] for name in before} == before
    assert after["a_first.png"] is None
    assert sorted(p for p, _ in tree(tmp_path / "b").items() if "a_first" in p) == []


def test_the_check_is_red_when_a_split_is_by_picture(crops: Path, tmp_path: Path) -> None:
    """Two pictures of one person in two parts: what a split by picture does, here by a pattern of the whole name."""
    thirds = {"train": 0.4, "val": 0.3, "test": 0.3}
    by_picture = split([crops], tmp_path / "a", thirds, by="name", person=r".*")
    assert by_picture["leaks"]["pairs"] > 0
    nearest = by_picture["leaks"]["nearest"][0]
    assert nearest["a"].split("/")[0] != nearest["b"].split("/")[0]
    assert nearest["distance"] == by_picture["leaks"]["nearest_distance"] < 0.35
    by_face = split([crops], tmp_path / "b", thirds, by="identity")  # it is one face, so one person
    assert by_face["leaks"]["pairs"] == 0
    assert by_face["largest_person"]["pictures"] == 12
    ended = scenes.likeness("dataset", "split", crops, "-o", tmp_path / "a", "--person", ".*", "--parts", "x=0.5,y=0.5")
    assert ended.status == 1
    assert "pairs of faces in two parts are nearer than 0.35" in ended.lines[0]
    assert not list((tmp_path / "a" / "train").glob("*"))  # the parts of the earlier run are gone


@pytest.mark.skipif(not LONDON.exists(), reason="needs the London face set in ../shared/faces")
def test_real_people_are_told_apart(tmp_path: Path) -> None:
    """Ten people with two pictures each: by name and by face no part holds a face of another, by picture it does."""
    with tarfile.open(LONDON) as tar:
        names = sorted(m.name for m in tar.getmembers() if m.isfile())[:20]
        tar.extractall(tmp_path / "in", names, filter="data")
    halves = {"train": 0.5, "test": 0.5}
    named = split([tmp_path / "in"], tmp_path / "a", halves, by="name", person=r"london_(p\d+)")
    assert named["leaks"]["pairs"] == 0
    assert sum(part["people"] for part in named["parts"].values()) == 10
    assert split([tmp_path / "in"], tmp_path / "b", halves, by="name", person=r".*")["leaks"]["pairs"] > 0
    seen = split([tmp_path / "in"], tmp_path / "c", halves, by="identity")
    people = {Path(r["name"]).name: r["person"] for r in records(tmp_path / "c")}
    assert all(people[n] == people[n.replace("_03", "_08")] for n in people if n.endswith("_03.jpg"))
    assert seen["leaks"]["pairs"] == 0


def test_the_same_bytes_are_never_in_two_parts(crops: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    for number in range(8):
        (source / f"person {number}").mkdir(parents=True)
        (source / f"person {number}" / "x.png").write_bytes((crops / "p0_0.png").read_bytes())
    summary = split([source], tmp_path / "out", {"a": 0.5, "b": 0.5}, by="folder", leak=None)
    kept = {r["part"] for r in records(tmp_path / "out") if r["status"] == "kept"}
    assert len(kept) == 1
    assert summary["dropped_by"]["same picture"] > 0


def test_shares_hold_on_average_and_seeds_differ() -> None:
    people = [f"person {number}" for number in range(4000)]
    where = [part_of(person, PARTS) for person in people]
    for part, share in PARTS.items():
        assert where.count(part) / len(people) == pytest.approx(share, abs=0.015)
    assert where != [part_of(person, PARTS, seed=1) for person in people]


@pytest.mark.parametrize("text", ["", "train", "train=1,train=0", "a=0.5,b=x", "../x=1", "a=1.5,b=-0.5", "a=nan"])
def test_parts_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="parts look like"):
        parse_parts(text)


# pack


def test_pack_and_read_again(crops: Path, tmp_path: Path) -> None:
    extra = tmp_path / "in"
    extra.mkdir()
    for path in crops.iterdir():
        (extra / path.name).write_bytes(path.read_bytes())
    (extra / "zażółć gęślą jaźń.png").write_bytes((crops / "p0_0.png").read_bytes())
    (extra / "torn.png").write_bytes(b"\x89PNG")
    size = 3 * max(path.stat().st_size for path in extra.iterdir()) + 12000
    summary = pack([extra], tmp_path / "out", size)
    assert [f["name"] for f in summary["failed"]] == ["torn.png"]
    index = json.loads((tmp_path / "out" / "index.json").read_text(encoding="utf-8"))
    assert index["count"] == 13 == sum(shard["count"] for shard in index["shards"])
    assert len(index["shards"]) >= 4
    for shard in index["shards"]:
        data = (tmp_path / "out" / shard["shard"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (shard["sha256"], shard["bytes"])
        assert len(data) <= size
    pictures = Pictures([str(tmp_path / "out" / "*.tar")])
    assert [e.name for e in pictures.entries] == sorted(p.name for p in extra.iterdir() if p.name != "torn.png")
    for index_, entry in enumerate(pictures.entries):
        assert np.array_equal(pictures[index_], np.asarray(Image.open(extra / entry.name)))
    with tarfile.open(tmp_path / "out" / "faces-000.tar") as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar} == {(0, 0, 0, "", "", 0o644)}
    (extra / "p0_0.png").touch()
    pack([extra], tmp_path / "again", size)
    assert tree(tmp_path / "again") == tree(tmp_path / "out")
    pack([extra], tmp_path / "again", 10**9)  # fewer shards: the others go
    assert [p.name for p in sorted((tmp_path / "again").glob("*.tar"))] == ["faces-000.tar"]


def test_pack_keeps_the_parts_of_a_split_apart(crops: Path, tmp_path: Path) -> None:
    split([crops], tmp_path / "s", {"train": 0.5, "test": 0.5}, by="name", person=r"(p\d)", leak=None)
    summary = pack([tmp_path / "s"], tmp_path / "p")
    assert {shard["shard"] for shard in summary["shards"]} == {"train-000.tar", "test-000.tar"}
    parts = parts_of(tmp_path / "s")
    for part in ("train", "test"):
        names = {entry.name for entry in find_pictures([str(tmp_path / "p" / f"{part}-000.tar")])}
        assert names == {name for name, where in parts.items() if where == part}


def test_two_pictures_of_one_key_are_refused(crops: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a.b.png", "a.c.png"):
        (source / name).write_bytes((crops / "p0_0.png").read_bytes())
    with pytest.raises(ValueError, match=r"a\.b\.png and a\.c\.png would be one sample, 'a'"):
        pack([source], tmp_path / "out")


@pytest.mark.parametrize(("text", "size"), [("44M", 44 * 2**20), ("1.5k", 1536), ("100", 100), ("2GiB", 2**31)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
