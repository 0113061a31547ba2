"""EXIF orientation is applied once: by reading, never again by whoever shows the written file."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import photo_files as files
import pytest
from PIL import ExifTags, Image, ImageOps

from likeness.photo import Photo, output_suffix, read_photo, write_photo

# EXIF 2.32, tag 0x0112, in terms of numpy's turns (counter-clockwise) and flips.
TRUTH = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.fliplr(np.rot90(a, -1)),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.fliplr(np.rot90(a, 1)),
    8: lambda a: np.rot90(a, 1),
}


def stored(kind: str, orientation: int) -> tuple[bytes, np.ndarray]:
    """A file with this orientation, and its pixels as they are stored."""
    payload = b"Exif\0\0" + files.exif(orientation, order=">" if orientation % 2 else "<")
    array = files.picture(4 if kind.endswith("alpha") else 3)
    if kind == "jpeg":
        data = files.saved(array, "JPEG", quality=95, exif=payload)
        bare = files.saved(array, "JPEG", quality=95)
        return data, np.asarray(Image.open(io.BytesIO(bare)))
    if kind in ("png", "png-alpha"):
        return files.saved(array, "PNG", exif=payload), array
    if kind == "webp-alpha":
        return files.saved(array, "WEBP", lossless=True, exact=True, exif=payload), array
    if kind.startswith("tiff-8"):
        compression = "tiff_lzw" if "lzw" in kind else None
        return files.saved(array, "TIFF", tiffinfo={274: orientation}, compression=compression), array
    if kind == "png-16":
        deep = files.picture(3, np.uint16)
        return files.deep_png(deep, files.png_chunk(b"eXIf", payload[6:])), deep
    deep = files.picture(4 if kind == "tiff-16-alpha" else 3, np.uint16)
    return files.deep_tiff(deep, orientation=orientation), deep


KINDS = [
    "jpeg",
    "png",
    "png-alpha",
    "png-16",
    "webp-alpha",
    "tiff-8",
    "tiff-8-lzw",
    "tiff-8-alpha",
    "tiff-16",
    "tiff-16-alpha",
]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_orientation_is_applied_and_written_as_1(tmp_path: Path, kind: str, orientation: int) -> None:
    data, array = stored(kind, orientation)
    truth = TRUTH[orientation](array)
    (tmp_path / "in").write_bytes(data)
    photo = read_photo(tmp_path / "in")
    assert np.array_equal(photo.pixels, truth[:, :, :3])
    assert photo.pixels.flags["C_CONTIGUOUS"]
    if truth.shape[2] == 4:
        assert photo.alpha is not None
        assert np.array_equal(photo.alpha, truth[:, :, 3])

    path = write_photo(photo, tmp_path / f"out{output_suffix(photo)}")
    back = read_photo(path)
    with Image.open(path) as image:
        assert image.getexif().get(274, 1) == 1
        shown = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)
    expected = truth[:, :, :3] >> 8 if truth.dtype == np.uint16 else truth[:, :, :3]
    if kind == "jpeg":
        assert np.abs(shown - expected).mean() < 3
    else:
        assert np.array_equal(back.pixels, truth[:, :, :3])
        assert np.abs(shown - expected).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["HEIF", "AVIF"])
def test_turned_heif_and_avif(tmp_path: Path, format_: str, orientation: int) -> None:
    # The encoders turn the EXIF orientation into the container's own rotation and mirror.
    read_photo(write_photo(Photo.from_array(files.picture()), tmp_path / "first.heic"))  # registers HEIF
    data = files.saved(files.picture(), format_, quality=95, exif=b"Exif\0\0" + files.exif(orientation))
    (tmp_path / "in").write_bytes(data)
    photo = read_photo(tmp_path / "in")
    truth = TRUTH[orientation](files.picture())
    assert photo.pixels.shape == truth.shape
    assert np.abs(photo.pixels.astype(int) - truth).mean() < 6
    back = read_photo(write_photo(photo, tmp_path / f"out{output_suffix(photo)}"))
    assert np.abs(back.pixels.astype(int) - truth).mean() < 6


@pytest.mark.parametrize("with_exif", [True, False], ids=["exif-and-xmp", "xmp-only"])
def test_xmp_does_not_contradict(tmp_path: Path, with_exif: bool) -> None:
    options = {"exif": b"Exif\0\0" + files.exif(6)} if with_exif else {}
    (tmp_path / "in.jpg").write_bytes(files.saved(files.picture(), "JPEG", xmp=files.XMP % 6, **options))
    photo = read_photo(tmp_path / "in.jpg")
    assert photo.pixels.shape == (53, 37, 3)
    with Image.open(write_photo(photo, tmp_path / "out.jpg")) as image:
        assert image.info["xmp"] == files.XMP % 1
        assert ImageOps.exif_transpose(image).size == (37, 53)


def test_exif_wins_over_xmp(tmp_path: Path) -> None:
    data = files.saved(files.picture(), "JPEG", xmp=files.XMP % 6, exif=b"Exif\0\0" + files.exif(1))
    (tmp_path / "in.jpg").write_bytes(data)
    assert read_photo(tmp_path / "in.jpg").pixels.shape == (37, 53, 3)


def test_imagemagick_exif_in_png_text(tmp_path: Path) -> None:
    payload = b"Exif\0\0" + files.exif(6)
    text = f"\nexif\n{len(payload):8}\n{payload.hex()}\n".encode()
    chunk = files.png_chunk(b"tEXt", b"Raw profile type exif\0" + text)
    (tmp_path / "in.png").write_bytes(files.png(53, 37, 8, 2, files.picture().tobytes(), chunk))
    photo = read_photo(tmp_path / "in.png")
    assert np.array_equal(photo.pixels, TRUTH[6](files.picture()))
    assert photo.exif == files.exif(1)
    written = write_photo(photo, tmp_path / "out.png").read_bytes()
    assert b"Raw profile" not in written
    assert b"eXIf" in written


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_nonsense_orientation_counts_as_1(tmp_path: Path, value: int) -> None:
    (tmp_path / "in.png").write_bytes(files.saved(files.picture(), "PNG", exif=b"Exif\0\0" + files.exif(value)))
    photo = read_photo(tmp_path / "in.png")
    assert np.array_equal(photo.pixels, files.picture())
    assert photo.exif == files.exif(1)


def test_thumbnail_of_the_old_picture_is_dropped_with_new_pixels(tmp_path: Path) -> None:
    payload = files.exif(1, thumbnail=files.saved(files.picture(), "JPEG"))
    (tmp_path / "in.jpg").write_bytes(files.saved(files.picture(), "JPEG", exif=b"Exif\0\0" + payload))
    photo = read_photo(tmp_path / "in.jpg")
    assert photo.exif == payload
    changed = photo.with_pixels(255 - photo.pixels)
    exif = Image.Exif()
    exif.load(photo.exif or b"")
    assert exif.get_ifd(ExifTags.IFD.IFD1)
    exif.load(changed.exif or b"")
    assert not exif.get_ifd(ExifTags.IFD.IFD1)
    assert exif.get_ifd(0x8769)[0x9003] == "2026:11:21 04:54:00"


def test_unreadable_exif_is_left_out_and_noted(tmp_path: Path) -> None:
    for junk in (b"junk", struct.pack("<2sHI", b"II", 42, 999)):
        (tmp_path / "in.jpg").write_bytes(files.saved(files.picture(), "JPEG", exif=b"Exif\0\0" + junk))
        photo = read_photo(tmp_path / "in.jpg")
        assert photo.exif is None
        assert "EXIF" in photo.extras["notes"][0]
        write_photo(photo, tmp_path / "out.avif")
