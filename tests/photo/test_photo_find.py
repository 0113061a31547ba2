"""Finding photos, and output names that never clash."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from likeness.photo import SUPPORTED_SUFFIXES, PhotoError, PhotoInput, add_suffix, assign_outputs, find_photos


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    names = [
        "b.JPG",
        "a.png",
        "sub/c.HEIC",
        "sub/deep/d.tiff",
        "notes.txt",
        ".hidden.jpg",
        ".trash/e.jpg",
        "[x].webp",
        "sub/a.png",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def relatives(photos: list[PhotoInput]) -> list[str]:
    return [photo.relative.as_posix() for photo in photos]


def test_folder(tree: Path) -> None:
    photos = find_photos([tree])
    assert relatives(photos) == ["[x].webp", "a.png", "b.JPG", "sub/a.png", "sub/c.HEIC", "sub/deep/d.tiff"]
    assert all(photo.path == tree / photo.relative for photo in photos)
    assert find_photos([str(tree)]) == photos


def test_named_files_are_taken_whatever_their_suffix(tree: Path) -> None:
    assert relatives(find_photos([tree / "notes.txt", tree / ".hidden.jpg"])) == [".hidden.jpg", "notes.txt"]


def test_globs(tree: Path) -> None:
    assert relatives(find_photos([f"{tree}/*.png"])) == ["a.png"]
    assert relatives(find_photos([f"{tree}/**/*.png"])) == ["a.png", "a.png"]
    assert relatives(find_photos([f"{tree}/[x].webp"])) == ["[x].webp"]  # exists: not a pattern


def test_each_file_once(tree: Path) -> None:
    (tree / "link.png").symlink_to(tree / "a.png")
    photos = find_photos([tree / "sub", tree / "sub" / "a.png", tree, f"{tree}/*.png", tree / "sub" / ".." / "a.png"])
    assert relatives(photos) == ["[x].webp", "a.png", "b.JPG", "a.png", "c.HEIC", "deep/d.tiff"]


@pytest.mark.timeout(20)
def test_links_in_a_circle_end(tree: Path) -> None:
    for name in ("up", "up too"):  # with two of them, following each link takes forever
        (tree / "sub" / name).symlink_to(tree)
    assert len(find_photos([tree])) == 6


def test_linked_folder_is_searched(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "linked").symlink_to(tree)
    assert len(find_photos([other])) == 6


def test_order_of_inputs_does_not_matter(tree: Path) -> None:
    files = [photo.path for photo in find_photos([tree])]
    for seed in range(5):
        shuffled = random.Random(seed).sample(files, len(files))
        assert [photo.path for photo in find_photos(shuffled)] == files


@pytest.mark.parametrize("missing", ["no.jpg", "nowhere/", "*.gif", "sub/*.bmp", "a.png/x.jpg", "a\0b"])
def test_nothing_there(tree: Path, missing: str) -> None:
    with pytest.raises(PhotoError):
        find_photos([f"{tree}/{missing}"])


def test_empty_folder_gives_nothing(tmp_path: Path) -> None:
    assert find_photos([tmp_path]) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder(tree: Path) -> None:
    (tree / "sub").chmod(0)
    with pytest.raises(PhotoError, match="permission denied"):
        find_photos([tree])


def test_suffixes() -> None:
    assert {
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".tif",
        ".tiff",
        ".bmp",
        ".heic",
        ".heif",
        ".avif",
    } <= SUPPORTED_SUFFIXES


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        pytest.param(["x.jpg", "y.jpg"], ["x", "y"], id="different"),
        pytest.param(["a/x.jpg", "b/x.jpg"], ["a/x", "b/x"], id="folders-keep-them-apart"),
        pytest.param(["x.jpg", "x.png"], ["x_jpg", "x_png"], id="same-stem"),
        pytest.param(["x.jpg", "x.jpg"], ["x_jpg", "x_jpg_2"], id="same-name-from-two-folders"),
        pytest.param(["X.jpg", "x.jpg"], ["X_jpg", "x_jpg_2"], id="case"),
        pytest.param(["x.JPG", "x.jpg"], ["x_jpg", "x_jpg_2"], id="case-of-the-suffix"),
        pytest.param(["A/x.jpg", "a/x.jpg"], ["A/x_jpg", "a/x_jpg_2"], id="case-of-the-folder"),
        pytest.param(["x.jpg", "x.png", "x_png.tif"], ["x_jpg", "x_png_2", "x_png"], id="clash-with-a-given-name"),
        pytest.param(["é.jpg", "e\u0301.jpg"], ["é_jpg", "e\u0301_jpg_2"], id="two-spellings-of-an-accent"),
        pytest.param(["x", "x.jpg"], ["x_1", "x_jpg"], id="no-suffix"),
        pytest.param(["a.b.jpg", "a.c.jpg"], ["a.b", "a.c"], id="dots"),
        pytest.param([".jpg", "..jpg"], [".jpg", "_jpg"], id="only-dots"),
    ],
)
def test_outputs(names: list[str], stems: list[str]) -> None:
    inputs = [PhotoInput(Path("/in") / str(i) / name, Path(name)) for i, name in enumerate(names)]
    assert [stem.as_posix() for stem in assign_outputs(inputs)] == stems


def test_outputs_are_always_different() -> None:
    dice = random.Random(0)
    for _ in range(200):
        names = ["".join(dice.choices("xX_2", k=dice.randint(1, 4))) + dice.choice([".jpg", ".JPG", ".png", ""])]
        names += [name for name in names for _ in range(3)]
        names += [dice.choice(["x", "x_jpg", "x_2", "X_jpg_2"]) + dice.choice([".jpg", ".png"]) for _ in range(8)]
        outputs = assign_outputs([PhotoInput(Path(str(i)), Path(name)) for i, name in enumerate(names)])
        assert len({output.as_posix().lower() for output in outputs}) == len(names)


def test_add_suffix_keeps_dots() -> None:
    assert add_suffix(Path("a/b.c"), ".png") == Path("a/b.c.png")
