"""Writing: which formats hold what, and files that appear whole or not at all."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import photo_files as files
import pytest
from PIL import Image

from likeness.photo import (
    Photo,
    PhotoError,
    atomic_path,
    atomic_write_bytes,
    atomic_write_text,
    output_suffix,
    read_photo,
    write_photo,
)

DEEP = np.zeros((8, 8, 3), np.uint16)
FLAT = np.zeros((8, 8, 3), np.uint8)
MASK = np.zeros((8, 8), np.uint8)


@pytest.mark.parametrize(
    ("photo", "suffix"),
    [
        pytest.param(Photo(FLAT, format="JPEG"), ".jpg", id="jpeg"),
        pytest.param(Photo(FLAT, MASK, format="JPEG"), ".png", id="jpeg-alpha"),
        pytest.param(Photo(DEEP, format="JPEG"), ".png", id="jpeg-16"),
        pytest.param(Photo(DEEP, format="PNG"), ".png", id="png-16"),
        pytest.param(Photo(FLAT, MASK, format="WEBP"), ".webp", id="webp-alpha"),
        pytest.param(Photo(DEEP, format="WEBP"), ".png", id="webp-16"),
        pytest.param(Photo(DEEP, format="TIFF"), ".tif", id="tiff-16"),
        pytest.param(Photo(FLAT, format="BMP"), ".bmp", id="bmp"),
        pytest.param(Photo(FLAT, MASK, format="BMP"), ".png", id="bmp-alpha"),
        pytest.param(Photo(FLAT, format="BMP", icc=b"x"), ".png", id="bmp-profile"),
        pytest.param(Photo(DEEP, format="HEIF"), ".heic", id="heif-16"),
        pytest.param(Photo(FLAT, MASK, format="AVIF"), ".avif", id="avif-alpha"),
        pytest.param(Photo(DEEP, format="AVIF"), ".png", id="avif-16"),
        pytest.param(Photo(np.zeros((1, 20_000, 3), np.uint8), format="WEBP"), ".png", id="webp-too-wide"),
    ],
)
def test_output_suffix(tmp_path: Path, photo: Photo, suffix: str) -> None:
    assert output_suffix(photo) == suffix
    if photo.icc is None:
        assert read_photo(write_photo(photo, tmp_path / f"x{suffix}")).pixels.dtype == photo.pixels.dtype


@pytest.mark.parametrize(
    ("photo", "name", "options", "match"),
    [
        pytest.param(Photo(DEEP), "x.jpg", {}, "JPEG cannot hold 16 bits per channel; write .png", id="jpeg-16"),
        pytest.param(Photo(FLAT, MASK), "x.JPEG", {}, "JPEG cannot hold transparency; write .png", id="jpeg-alpha"),
        pytest.param(Photo(DEEP), "x.webp", {}, "WEBP cannot hold 16", id="webp-16"),
        pytest.param(Photo(DEEP), "x.avif", {}, "AVIF cannot hold 16", id="avif-16"),
        pytest.param(Photo(DEEP, format="TIFF"), "x.bmp", {}, "BMP cannot hold 16.*write .tif", id="bmp-16"),
        pytest.param(Photo(FLAT), "x.jpg", {"lossless": True}, "without loss", id="jpeg-lossless"),
        pytest.param(Photo(DEEP), "x.heic", {"lossless": True}, "without loss", id="heif-16-lossless"),
        pytest.param(Photo(FLAT), "x.jpg", {"quality": 0}, "quality must be 1 to 100, not 0", id="quality"),
        pytest.param(Photo(FLAT), "x.gif", {}, "'.gif' names no format", id="gif"),
        pytest.param(Photo(FLAT), "x", {}, "'' names no format", id="no-suffix"),
        pytest.param(
            Photo(FLAT, exif=b"II*\0" + b"junk" * 30_000),
            "x.jpg",
            {},
            "cannot be written",
            id="exif-too-long",
        ),
    ],
)
def test_refused(tmp_path: Path, photo: Photo, name: str, options: dict, match: str) -> None:
    with pytest.raises(PhotoError, match=match) as caught:
        write_photo(photo, tmp_path / "new" / name, **options)
    assert name in str(caught.value)
    assert list(tmp_path.rglob("*.*")) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "file.txt" / "x.png", tmp_path / "folder.png"):
        with pytest.raises(PhotoError) as caught:
            write_photo(Photo(FLAT), path)
        assert path.name in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file.txt", "folder.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_permission_denied(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PhotoError, match="permission denied"):
        write_photo(Photo(FLAT), tmp_path / "x.png")


def test_grey_photo_that_became_coloured_is_written_as_its_luma(tmp_path: Path) -> None:
    colour = files.picture()
    back = read_photo(write_photo(Photo(colour, grey=True), tmp_path / "x.png"))
    luma = np.asarray(Image.fromarray(colour).convert("L"))
    assert back.grey
    assert np.array_equal(back.pixels[:, :, 0], luma)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_others_read_our_16_bit_files(tmp_path: Path, channels: int) -> None:
    """Pillow, as an independent reader, sees the high bytes."""
    array = files.picture(channels, np.uint16, 300, 200)
    colour = array[:, :, :3] if channels > 2 else np.repeat(array[:, :, :1], 3, axis=2)
    photo = Photo(colour, array[:, :, -1] if channels in (2, 4) else None, channels < 3, icc=files.icc())
    for suffix in (".png", ".tif"):
        if suffix == ".tif" and channels == 2:
            continue  # Pillow does not know this kind
        with Image.open(write_photo(photo, tmp_path / f"x{suffix}")) as image:
            assert image.info["icc_profile"] == photo.icc
            seen = np.asarray(image.convert("LA") if channels == 2 else image)
        if seen.dtype == np.uint16:
            assert np.array_equal(seen, array[:, :, 0])
        else:
            assert np.abs(seen.astype(int) - (array >> 8)).max() <= 1


def test_atomic_path(tmp_path: Path) -> None:
    target = tmp_path / "new" / "x.json"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".json"
        temporary.write_text("first")
        assert not target.exists()
    assert target.read_text() == "first"

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [p.name for p in target.parent.iterdir()] == ["x.json"]
    assert target.read_text() == "first"
    with atomic_path(target) as one, atomic_path(target) as two:
        assert one != two


def test_atomic_write(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        atomic_write_bytes(tmp_path / "a", b"\0\1")
        atomic_write_text(tmp_path / ("n" * 250), "ä\n")
    finally:
        os.umask(old)
    assert (tmp_path / "a").read_bytes() == b"\0\1"
    assert (tmp_path / ("n" * 250)).read_bytes() == b"\xc3\xa4\n"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


CHILD = """
import sys, numpy as np
from likeness.photo import Photo, write_photo
photos = [Photo(np.full((1500, 2000, 3), value, np.uint8)) for value in (50, 200)]
print("ready", flush=True)
while True:
    for photo in photos:
        write_photo(photo, sys.argv[1])
"""


def test_killed_at_any_moment(tmp_path: Path) -> None:
    target, dice = tmp_path / "x.bmp", random.Random(1)
    for _ in range(4):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(target)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 0.3 + 0.2 * dice.random()
        while time.monotonic() < deadline:  # what a reader beside the writer sees is whole as well
            if target.exists():
                assert whole(target.read_bytes())
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        if target.exists():
            assert whole(target.read_bytes())
    assert target.exists()


def whole(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        return np.unique(np.asarray(image)).tolist() in ([50], [200])
