"""Which picture is whose, by SCFace's names, by folders, by a CSV of pairs; and the stand-in data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import scenes
from likeness.degrade.files import reproduce
from likeness.photo import PhotoError, read_photo
from likeness.study.identity.layouts import Gallery, Layout, Probe, folders, pairs, scface
from likeness.study.identity.stand_in import make


def put(folder: Path, *names: str) -> Path:
    """Small pictures, all different."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(sum(map(ord, name))).integers(0, 255, (16, 16, 3), np.uint8)
        path.write_bytes(scenes.encoded(pixels, "PNG" if path.suffix == ".png" else "JPEG"))
    return folder


def test_scface_names(tmp_path: Path) -> None:
    put(tmp_path, "mugshot_frontal_original_all/001_frontal.jpg", "mugshot_frontal_original_all/002_frontal.JPG")
    put(
        tmp_path,
        "all/001_cam1_1.jpg",
        "all/001_cam5_3.jpg",
        "all/002_cam2_2.jpg",
        "ir/001_cam6_1.jpg",
        "ir/001_cam7.jpg",
    )
    put(tmp_path, "ir/001_cam8.jpg", "ir/002_cam8.jpg")
    layout = scface(tmp_path)
    assert [(one.path.name, one.person) for one in layout.galleries] == [
        ("001_frontal.jpg", "001"),
        ("002_frontal.JPG", "002"),
    ]
    assert [(one.path.name, one.person, one.camera, one.distance, one.infra_red) for one in layout.probes] == [
        ("001_cam1_1.jpg", "001", "cam1", 4.20, False),
        ("001_cam5_3.jpg", "001", "cam5", 1.00, False),
        ("001_cam6_1.jpg", "001", "cam6", 4.20, True),
        ("001_cam7.jpg", "001", "cam7", None, True),
        ("001_cam8.jpg", "001", "cam8", None, True),
        ("002_cam2_2.jpg", "002", "cam2", 2.60, False),
        ("002_cam8.jpg", "002", "cam8", None, True),
    ]
    assert layout.notices == (
        "SCFace: 2 mugshots, 3 surveillance pictures (cameras 1 to 5), 4 infra-red pictures (cameras 6 to 8)",
    )


def test_scface_leaves_out_what_is_no_probe_and_says_so(tmp_path: Path) -> None:
    put(tmp_path, "m/001_frontal.jpg", "m/002_frontal.jpg", "m/001_L1.jpg", "m/001_R4.jpg")
    put(tmp_path, "mugshot_frontal_cropped_all/001_frontal.jpg", "day/001_cam1_1.jpg", "again/001_cam1_1.jpg")
    wrong = ["1_cam1_1.jpg", "001_cam0_1.jpg", "001_cam9_1.jpg", "001_cam1_4.jpg", "001_cam1.jpg", "001_cam8_1.jpg"]
    put(tmp_path / "wrong", *wrong, "001_cam1_1_restored.jpg", "notes.png")
    put(tmp_path, "day/009_cam1_1.jpg")
    layout = scface(tmp_path)
    assert [one.path.relative_to(tmp_path).as_posix() for one in layout.probes] == ["again/001_cam1_1.jpg"]
    assert [one.path.relative_to(tmp_path).as_posix() for one in layout.galleries] == [
        "m/001_frontal.jpg",
        "m/002_frontal.jpg",
    ]
    text = "\n".join(layout.notices)
    for words in ("no infra-red pictures", "009, who have no mugshot", "2 mugshots from the side", "2 second copies"):
        assert words in text
    assert f"{len(wrong) + 2} pictures with other names" in text


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["001_cam1_1.jpg"], "no mugshots"),
        (["001_frontal.jpg", "002_frontal.jpg"], "there are no probes"),
        (["001_frontal.jpg", "001_cam1_1.jpg"], "at least two people"),
    ],
)
def test_scface_without_what_it_needs(tmp_path: Path, names: list[str], words: str) -> None:
    put(tmp_path, *names)
    with pytest.raises(PhotoError, match=words) as seen:
        scface(tmp_path)
    assert "\n" not in str(seen.value)


def test_a_folder_that_is_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="no such folder"):
        folders(tmp_path / "nothing")
    with pytest.raises(PhotoError, match="no photos"):
        scface(tmp_path)


def test_folders_of_people(tmp_path: Path) -> None:
    put(tmp_path, "ann/1.png", "ann/2.png", "ann/3.png")  # the first by name
    put(tmp_path, "bob/a.png", "bob/gallery/z.png", "bob/far/a.png")  # a subfolder
    put(tmp_path, "cyn/a.png", "cyn/gallery_1.png", "cyn/Gallery-2.png")  # names
    put(tmp_path, "dan/a.png", "loose.png", "eve/gallery/1.png", "eve/gallery/2.png")
    layout = folders(tmp_path)
    gallery = [one.path.relative_to(tmp_path).as_posix() for one in layout.galleries]
    assert gallery == [
        "ann/1.png", "bob/gallery/z.png", "cyn/Gallery-2.png", "cyn/gallery_1.png",
        "eve/gallery/1.png", "eve/gallery/2.png",
    ]  # fmt: skip
    probes = [(one.path.relative_to(tmp_path).as_posix(), one.person, one.camera) for one in layout.probes]
    assert probes == [
        ("ann/2.png", "ann", None),
        ("ann/3.png", "ann", None),
        ("bob/a.png", "bob", None),
        ("bob/far/a.png", "bob", "far"),
        ("cyn/a.png", "cyn", None),
    ]
    text = "\n".join(layout.notices)
    assert "left out: dan" in text
    assert "eve: all pictures are of the gallery" in text
    assert "1 picture in no person's folder" in text


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lists" / "pairs.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_pairs_say_who_is_who(tmp_path: Path) -> None:
    text = "a, b, same, group\n../x/1.png,2.png,1,dusk\nx3.png,2.png,Yes,\n4.png,2.png,0,dusk\n4.png,5.png,false,\n"
    layout = pairs(table(tmp_path, text))
    probes = [(one.path.relative_to(tmp_path).as_posix(), one.camera) for one in layout.probes]
    assert probes == [("x/1.png", "dusk"), ("lists/x3.png", None), ("lists/4.png", "dusk"), ("lists/4.png", None)]
    people = {one.path.name: one.person for one in (*layout.probes, *layout.galleries)}
    assert people["1.png"] == people["2.png"] == people["x3.png"]  # joined by way of 2.png
    assert len(set(people.values())) == 3
    assert layout.pairs == ((0, 0), (1, 0), (2, 0), (3, 1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "first line must be"),
        ("a,b\n1,2\n", "first line must be"),
        ("a,b,same\n", "no pairs"),
        ("a,b,same\n1.png,2.png,perhaps\n", "line 2: .*perhaps"),
        ("a,b,same\n1.png,2.png,1\n1.png\n", "line 3"),
        ("a,b,same\n1.png,./1.png,1\n", "line 2: a and b are the same"),
        ("a,b,same\n1.png,2.png,1\n2.png,3.png,1\n1.png,3.png,0\n", "line 4: .*of one person"),
        ("a,b,same\n1.png,2.png,1\n", "same = 0"),
        ("a,b,same\n1.png,2.png,0\n", "same = 1"),
    ],
)
def test_pairs_that_do_not_fit(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(PhotoError, match=words) as seen:
        pairs(table(tmp_path, text))
    assert "\n" not in str(seen.value)


def test_pieces_that_contradict_each_other_are_refused() -> None:
    a, b = Gallery(Path("a"), "a"), Gallery(Path("b"), "b")
    with pytest.raises(ValueError, match="not in the gallery"):
        Layout("folders", (Probe(Path("x"), "c"),), (a, b))
    with pytest.raises(ValueError, match="not there"):
        Layout("pairs", (Probe(Path("x"), "a"),), (a,), ((0, 1),))
    with pytest.raises(ValueError, match="distance"):
        Probe(Path("x"), "a", distance=-1.0)
    with pytest.raises(ValueError, match="person"):
        Gallery(Path("x"), "")


# The stand-in


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_make_keeps_one_picture_and_degrades_the_others(tmp_path: Path) -> None:
    source = put(tmp_path / "in", "lon_p1_03.png", "lon_p1_08.png", "lon_p2_03.png", "lon_p2_08.png", "lon_p2_09.png")
    out = tmp_path / "out"
    entries = make([source], out)
    made = files(out)
    assert sorted(made) == [
        "lon_p1/gallery/lon_p1_03.png", "lon_p1/lon_p1_08.png", "lon_p2/gallery/lon_p2_03.png", "lon_p2/lon_p2_08.png",
        "lon_p2/lon_p2_09.png", "manifest.jsonl",
    ]  # fmt: skip
    assert made["lon_p1/gallery/lon_p1_03.png"] == (source / "lon_p1_03.png").read_bytes()
    assert made["lon_p1/lon_p1_08.png"] != (source / "lon_p1_08.png").read_bytes()
    assert [json.loads(line) for line in made["manifest.jsonl"].decode().splitlines()] == entries
    layout = folders(out)
    assert [one.path.name for one in layout.galleries] == ["lon_p1_03.png", "lon_p2_03.png"]
    assert len(layout.probes) == 3
    probe = next(entry for entry in entries if entry.get("role") == "probe")
    again = reproduce(probe, read_photo(Path(probe["input"])))
    np.testing.assert_array_equal(again.pixels, read_photo(out / probe["output"]).pixels)


def test_make_again_gives_the_same_and_removes_what_is_no_more(tmp_path: Path) -> None:
    source = put(tmp_path / "in", "a_1.png", "a_2.png", "b_1.png", "b_2.png")
    out = tmp_path / "out"
    make([source], out, distances=True)
    assert {"a/near/a_2.png", "a/middle/a_2.png", "a/far/a_2.png"} <= set(files(out))
    make([source], out)
    first = files(out)
    assert not any("near" in name for name in first)
    put(source, "a_15.png", "c_1.png", "c_2.png")  # others do not change what is there
    make([source], out)
    assert {name: data for name, data in files(out).items() if name in first and name != "manifest.jsonl"} == {
        name: data for name, data in first.items() if name != "manifest.jsonl"
    }
    assert make([source], out, seed=1)
    assert files(out)["a/a_2.png"] != first["a/a_2.png"]


def test_farther_is_reduced_more_and_else_the_same(tmp_path: Path) -> None:
    source = put(tmp_path / "in", "a/1.png", "a/2.png", "b/1.png", "b/2.png")
    entries = [entry for entry in make([source], tmp_path / "out", distances=True) if entry.get("person") == "a"]
    near, middle, far = entries[1:]
    sizes = [next(step for step in entry["steps"] if step["op"] == "resize")["height"] for entry in (near, middle, far)]
    assert sizes == [3, 2, 1]  # 16 pixels times 96, 64, 32 of 512
    for entry in (near, far):
        others = [step for step in entry["steps"] if step["op"] != "resize"]
        assert others == [step for step in middle["steps"] if step["op"] != "resize"]


def test_who_it_is_by_folder_or_by_expression(tmp_path: Path) -> None:
    source = put(tmp_path / "in", "ann/x_1.png", "ann/y_1.png", "bob/x_2.png", "bob/y_2.png")
    assert {entry["person"] for entry in make([source], tmp_path / "folders")} == {"ann", "bob"}
    assert {entry["person"] for entry in make([source], tmp_path / "names", person="([a-z]+)_.*")} == {"x", "y"}


def test_make_says_what_it_left_out(tmp_path: Path) -> None:
    source = put(tmp_path / "in", "a_1.png", "a_2.png", "b_1.png", "nobody.png", "a_3.png")
    (source / "a_3.png").write_bytes(b"no picture")
    errors = [entry["error"] for entry in make([source], tmp_path / "out") if "error" in entry]
    assert len(errors) == 3
    for words in ("b_1.png: the only picture of b", "nobody.png: its name does not say", "a_3.png"):
        assert any(words in error for error in errors)


def test_make_refuses(tmp_path: Path) -> None:
    source = put(tmp_path / "in", "a_1.png", "b_1.png")
    with pytest.raises(PhotoError, match=r"nothing could be made: .*the only picture"):
        make([source], tmp_path / "out")
    put(source, "a_2.png")
    with pytest.raises(PhotoError, match="outside"):
        make([source], source / "out")
    with pytest.raises(PhotoError, match="not empty"):
        make([source / "a_*.png"], source)
    with pytest.raises(ValueError, match="no group"):
        make([source], tmp_path / "out", person=".*")
    with pytest.raises(ValueError, match="not a regular expression"):
        make([source], tmp_path / "out", person="(")
    with pytest.raises(KeyError, match="nonsense"):
        make([source], tmp_path / "out", recipe="nonsense")
