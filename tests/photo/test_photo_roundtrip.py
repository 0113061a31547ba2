"""read(write(read(x))): pixels, depth, alpha, grey and metadata come back."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import photo_files as files
import pytest
from PIL import Image

from likeness.photo import Photo, PhotoError, output_suffix, read_photo, write_photo

EXACT = [".png", ".tif", ".webp", ".bmp", ".heic"]  # the last three with lossless=True
LOSSY = [".jpg", ".webp", ".avif", ".heic"]


def each_depth(*suffixes: str) -> list:
    """(suffix, dtype) for each depth that the format can hold."""
    deep = [(suffix, np.uint16) for suffix in suffixes if suffix in (".png", ".tif", ".heic")]
    pairs = [(suffix, np.uint8) for suffix in suffixes] + deep
    return [pytest.param(suffix, dtype, id=f"{suffix}-{np.dtype(dtype).itemsize * 8}bit") for suffix, dtype in pairs]


def photo_of(kind: str, dtype: type) -> Photo:
    channels = {"grey": 1, "grey-alpha": 2, "rgb": 3, "rgba": 4}[kind]
    array = files.picture(channels, dtype)
    colour = np.repeat(array[:, :, :1], 3, axis=2) if channels < 3 else array[:, :, :3]
    alpha = array[:, :, -1] if channels in (2, 4) else None
    return Photo(colour, alpha, channels < 3)


def same_pixels(a: Photo, b: Photo) -> bool:
    if (a.alpha is None) != (b.alpha is None) or a.pixels.dtype != b.pixels.dtype:
        return False
    return np.array_equal(a.pixels, b.pixels) and (a.alpha is None or np.array_equal(a.alpha, b.alpha))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16], ids=["8bit", "16bit"])
@pytest.mark.parametrize("kind", ["rgb", "rgba", "grey", "grey-alpha"])
@pytest.mark.parametrize("suffix", EXACT)
def test_lossless_formats_give_the_same_pixels(tmp_path: Path, suffix: str, kind: str, dtype: type) -> None:
    photo = photo_of(kind, dtype)
    holds_alpha = suffix != ".bmp" or photo.alpha is None
    holds_depth = suffix in (".png", ".tif") or dtype is np.uint8
    if not (holds_alpha and holds_depth):
        with pytest.raises(PhotoError):
            write_photo(photo, tmp_path / f"x{suffix}", lossless=True)
        return
    once = read_photo(write_photo(photo, tmp_path / f"x{suffix}", lossless=True))
    assert same_pixels(once, photo)
    if suffix != ".webp" and not (suffix == ".heic" and kind == "grey-alpha"):  # these store it as RGB
        assert once.grey == photo.grey
    twice = read_photo(write_photo(once, tmp_path / f"y{suffix}", lossless=suffix in (".webp", ".heic")))
    assert same_pixels(twice, photo)


@pytest.mark.parametrize("kind", ["rgb", "grey"])
@pytest.mark.parametrize("suffix", LOSSY)
def test_lossy_formats_come_close(tmp_path: Path, suffix: str, kind: str) -> None:
    photo = photo_of(kind, np.uint8)
    back = read_photo(write_photo(photo, tmp_path / f"x{suffix}"))
    assert np.abs(back.pixels.astype(int) - photo.pixels).mean() < (3 if suffix == ".webp" else 2)
    assert back.grey == photo.grey or suffix == ".webp"
    assert output_suffix(back) == suffix


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_heif_stays_deep(tmp_path: Path, bits: int) -> None:
    photo = photo_of("rgba", np.uint16)
    deep = Photo(photo.pixels, photo.alpha, format="HEIF", extras={"bits": bits})
    back = read_photo(write_photo(deep, tmp_path / "x.heic"))
    assert back.extras["bits"] == bits
    assert back.pixels.dtype == np.uint16
    assert back.alpha is not None
    assert np.abs(back.as_float() - photo.as_float()).mean() < 0.01
    white = read_photo(write_photo(Photo.from_array(np.full((32, 32, 3), 65535, np.uint16)), tmp_path / "w.heic"))
    assert white.pixels.max() == 65535
    assert output_suffix(back) == ".heic"


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".heic", ".avif"])
def test_exif_survives_byte_for_byte(tmp_path: Path, suffix: str, order: str) -> None:
    payload = files.exif(1, order=order)
    photo = Photo(files.picture(), exif=payload)
    back = read_photo(write_photo(photo, tmp_path / f"x{suffix}"))
    if suffix == ".avif":  # kept there without an orientation entry; everything else at its place
        assert back.exif is not None
        assert len(back.exif) == len(payload)
        assert int.from_bytes(back.exif[8:10], "little" if order == "<" else "big") == 4
    else:
        assert back.exif == payload
    with Image.open(tmp_path / f"x{suffix}") as image:
        read = image.getexif()
        assert read[0x0110] == "Likeness test camera"
        assert read.get_ifd(0x8769)[0x927C] == b"MakerNote\0" + bytes(range(50))
        assert read.get_ifd(0x8825)[2] == (51, 30, 0)
        assert read.get(0x0112, 1) == 1
        assert set(read) - {0x0112} == {0x010F, 0x0110, 0x8769, 0x8825}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16], ids=["8bit", "16bit"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
def test_exif_survives_in_tiff_tag_by_tag(tmp_path: Path, order: str, dtype: type) -> None:
    photo = Photo(files.picture(3, dtype), exif=files.exif(1, order=order))
    back = read_photo(write_photo(photo, tmp_path / "x.tif"))
    again = read_photo(write_photo(back, tmp_path / "y.tif"))
    for payload in (back.exif, again.exif):
        read = Image.Exif()
        read.load(payload or b"")
        assert (read[0x010F], read[0x0110], read[0x0112]) == ("Acm", "Likeness test camera", 1)
        assert read.get_ifd(0x8769)[0x9003] == "2026:11:21 04:54:00"
        assert read.get_ifd(0x8769)[0x927C] == b"MakerNote\0" + bytes(range(50))
        assert read.get_ifd(0x8825)[2] == (51, 30, 0)


@pytest.mark.parametrize(("suffix", "dtype"), each_depth(".jpg", ".png", ".webp", ".tif", ".heic", ".avif"))
def test_profile_and_xmp_survive(tmp_path: Path, suffix: str, dtype: type) -> None:
    photo = Photo(files.picture(3, dtype), icc=files.icc(), extras={"xmp": files.XMP % 1})
    back = read_photo(write_photo(photo, tmp_path / f"x{suffix}"))
    assert back.icc == photo.icc
    assert back.extras["xmp"] == photo.extras["xmp"]


@pytest.mark.parametrize(("suffix", "dtype"), each_depth(".jpg", ".png", ".tif", ".bmp"))
def test_resolution_survives(tmp_path: Path, suffix: str, dtype: type) -> None:
    photo = Photo(files.picture(3, dtype), extras={"dpi": (300, 150)})
    back = read_photo(write_photo(photo, tmp_path / f"x{suffix}"))
    assert back.extras["dpi"] == pytest.approx((300, 150), abs=0.02)


def test_png_text_and_colour_chunks_survive(tmp_path: Path) -> None:
    chunks = [
        files.png_chunk(b"gAMA", b"\0\0\xb1\x8f"),
        files.png_chunk(b"tEXt", b"Title\0A face"),
        files.png_chunk(b"iTXt", b"Comment\0\0\0de\0\0" + "Grüße".encode()),
    ]
    for name, dtype in (("8", np.uint8), ("16", np.uint16)):
        array = files.picture(3, dtype)
        raw = files.deep_png(array, *chunks) if name == "16" else files.png(53, 37, 8, 2, array.tobytes(), *chunks)
        (tmp_path / "in.png").write_bytes(raw)
        written = write_photo(read_photo(tmp_path / "in.png"), tmp_path / "out.png").read_bytes()
        assert all(chunk in written for chunk in chunks)
        with Image.open(io.BytesIO(written)) as image:
            image.load()
            assert image.info["Comment"] == "Grüße"


def test_jpeg_comment_and_press_caption_survive(tmp_path: Path) -> None:
    caption = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x07\x1c\x02\x78\0\x02Hi\0"
    marker = b"\xff\xed" + (len(caption) + 2).to_bytes(2, "big") + caption
    (tmp_path / "in.jpg").write_bytes(files.saved(files.picture(), "JPEG", comment=b"hello", extra=marker))
    written = write_photo(read_photo(tmp_path / "in.jpg"), tmp_path / "out.jpg")
    with Image.open(written) as image:
        assert image.info["comment"] == b"hello"
    assert marker in written.read_bytes()


def test_webp_is_written_as_it_was_read(tmp_path: Path) -> None:
    for lossless in (True, False):
        exif = b"Exif\0\0" + files.exif(1)  # puts the extended header before the image chunk
        (tmp_path / "in.webp").write_bytes(
            files.saved(files.picture(4), "WEBP", lossless=lossless, exact=True, exif=exif)
        )
        photo = read_photo(tmp_path / "in.webp")
        assert bool(photo.extras.get("lossless")) == lossless
        back = read_photo(write_photo(photo, tmp_path / "out.webp"))
        assert same_pixels(back, photo) == lossless


def test_jpeg_keeps_full_colour_resolution(tmp_path: Path) -> None:
    path = write_photo(Photo.from_array(files.picture()), tmp_path / "x.jpg")
    with Image.open(path) as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(("suffix", "dtype"), each_depth(".jpg", ".png", ".webp", ".tif", ".bmp", ".heic", ".avif"))
def test_same_photo_gives_the_same_bytes(tmp_path: Path, suffix: str, dtype: type) -> None:
    photo = Photo(files.picture(3, dtype, 200, 300), exif=files.exif(1), icc=files.icc(), extras={"dpi": (72, 72)})
    hashes = {hashlib.sha256(write_photo(photo, tmp_path / f"{i}{suffix}").read_bytes()).hexdigest() for i in range(3)}
    assert len(hashes) == 1
