"""Reading: colour modes, depths, and files that are broken or not photos at all."""

from __future__ import annotations

import io
import os
import random
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import photo_files as files
import pytest
from PIL import Image

from likeness.photo import Photo, PhotoError, output_suffix, read_photo, write_photo
from likeness.photo.guard import quiet_pillow


def read(tmp_path: Path, data: bytes, name: str = "in") -> Photo:
    (tmp_path / name).write_bytes(data)
    return read_photo(tmp_path / name)


def refused(tmp_path: Path, data: bytes, match: str, name: str = "bad file.jpg") -> None:
    with pytest.raises(PhotoError, match=match) as caught:
        read(tmp_path, data, name)
    assert name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


# Colour modes and depths


@pytest.mark.parametrize("ink", range(4), ids=["cyan", "magenta", "yellow", "black"])
@pytest.mark.parametrize("profile", [True, False], ids=["profile", "no-profile"])
def test_cmyk_goes_through_its_profile(tmp_path: Path, ink: int, profile: bool) -> None:
    array = np.zeros((20, 20, 4), np.uint8)
    array[:, :, ink] = 255
    options = {"icc_profile": files.cmyk_icc()} if profile else {}
    image = Image.fromarray(array, "CMYK")
    photo = read(tmp_path, files.saved(image, "TIFF", **options))
    if profile:  # in the test profile C, M and Y are greys of L = 66.7 (sRGB 162), K is black
        assert np.abs(photo.pixels[10, 10].astype(int) - (0 if ink == 3 else 162)).max() <= 3
        assert photo.icc is not None
        assert photo.icc[16:20] == b"RGB "
        assert photo.icc[24:28] == b"\x07\xd0\x00\x01"  # not the time of reading: the same file gives the same bytes
        assert "notes" not in photo.extras
    else:
        assert photo.pixels[10, 10].tolist() == [0 if ink in (i, 3) else 255 for i in range(3)]
        assert photo.icc is None
        assert "CMYK" in photo.extras["notes"][0]


def test_cmyk_jpeg_and_ycck_jpeg(tmp_path: Path) -> None:
    array = np.full((16, 16, 4), (0, 255, 255, 0), np.uint8)  # red
    data = files.saved(Image.fromarray(array, "CMYK"), "JPEG", icc_profile=files.cmyk_icc())
    photo = read(tmp_path, data)
    assert np.abs(photo.pixels[8, 8].astype(int) - 82).max() <= 4  # L = 33.3
    adobe = data.index(b"Adobe")
    for transform in (0, 2):  # CMYK, YCCK
        patched = data[: adobe + 11] + bytes([transform]) + data[adobe + 12 :]
        expected = np.asarray(Image.open(io.BytesIO(patched)).convert("RGB"))
        without = read(tmp_path, patched.replace(b"ICC_PROFILE", b"XXX_PROFILE"))
        assert np.array_equal(without.pixels, expected)
        assert output_suffix(without) == ".jpg"


def test_unusable_cmyk_profile_is_noted(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((8, 8, 4), np.uint8), "CMYK")
    photo = read(tmp_path, files.saved(image, "JPEG", icc_profile=files.icc()))  # an RGB profile
    assert photo.icc is None
    assert "unusable profile" in photo.extras["notes"][0]


def test_palette(tmp_path: Path) -> None:
    array = files.picture()
    palette = Image.fromarray(array).quantize(16)
    photo = read(tmp_path, files.saved(palette, "PNG"))
    assert np.array_equal(photo.pixels, np.asarray(palette.convert("RGB")))
    assert (photo.alpha, photo.grey) == (None, False)
    photo = read(tmp_path, files.saved(palette, "PNG", transparency=bytes(range(0, 256, 16))))
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha, np.asarray(palette) * 16)
    assert np.array_equal(photo.pixels, np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "BMP"])
def test_one_bit(tmp_path: Path, format_: str) -> None:
    bits = files.picture(1)[:, :, 0] > 100
    photo = read(tmp_path, files.saved(Image.fromarray(bits), format_))
    assert photo.grey
    assert np.array_equal(photo.pixels[:, :, 1], bits * np.uint8(255))
    back = read_photo(write_photo(photo, tmp_path / f"out{output_suffix(photo)}"))
    assert np.array_equal(back.pixels, photo.pixels)
    assert back.grey


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png(tmp_path: Path, channels: int) -> None:
    array = files.picture(channels, np.uint16)
    photo = read(tmp_path, files.deep_png(array))
    assert photo.grey == (channels < 3)
    assert np.array_equal(photo.pixels, array[:, :, :3] if channels > 2 else np.repeat(array[:, :, :1], 3, 2))
    if channels in (2, 4):
        assert np.array_equal(photo.alpha, array[:, :, -1])
    else:
        assert photo.alpha is None


@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_colour_in_16_bit_png(tmp_path: Path, channels: int) -> None:
    array = files.picture(channels, np.uint16)
    key = files.png_chunk(b"tRNS", array[5, 7].astype(">u2").tobytes())
    photo = read(tmp_path, files.deep_png(array, key))
    assert photo.alpha is not None
    assert photo.alpha[5, 7] == 0
    assert np.array_equal(photo.alpha == 0, (array == array[5, 7]).all(axis=2))


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize("planar", [False, True], ids=["pixels", "planes"])
@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_tiff(tmp_path: Path, channels: int, deflate: bool, planar: bool, order: str) -> None:
    array = files.picture(channels, np.uint16)
    photo = read(tmp_path, files.deep_tiff(array, deflate=deflate, planar=planar, order=order))
    assert photo.grey == (channels < 3)
    assert np.array_equal(photo.pixels, array[:, :, :3] if channels > 2 else np.repeat(array[:, :, :1], 3, 2))
    if channels in (2, 4):
        assert np.array_equal(photo.alpha, array[:, :, -1])
    else:
        assert photo.alpha is None


def test_16_bit_tiff_with_white_as_zero(tmp_path: Path) -> None:
    array = files.picture(1, np.uint16)
    photo = read(tmp_path, files.deep_tiff(array, photometric=0))
    assert np.array_equal(photo.pixels[:, :, 0], 65535 - array[:, :, 0])


def test_16_bit_tiff_with_associated_alpha(tmp_path: Path) -> None:
    array = np.full((4, 4, 4), (10_000, 20_000, 0, 32_768), np.uint16)
    photo = read(tmp_path, files.deep_tiff(array, extra=1))
    assert photo.pixels[0, 0].tolist() == [20_000, 39_999, 0]


@pytest.mark.parametrize(
    ("array", "options"),
    [
        pytest.param(np.zeros((9, 9, 1), np.float32), {"sample_format": 3}, id="float-grey"),
        pytest.param(np.zeros((9, 9, 3), np.float32), {"sample_format": 3}, id="float-rgb"),
        pytest.param(np.zeros((9, 9, 3), np.float16), {"sample_format": 3}, id="half-rgb"),
        pytest.param(np.zeros((9, 9, 1), np.uint32), {}, id="32-bit-grey"),
        pytest.param(np.zeros((9, 9, 1), np.int16), {"sample_format": 2}, id="signed"),
    ],
)
def test_sample_types_that_photos_do_not_have(tmp_path: Path, array: np.ndarray, options: dict) -> None:
    refused(tmp_path, files.deep_tiff(array, **options), "not supported", "x.tif")


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (10, 200, 90)]
    for format_ in ("WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if format_ == "WEBP" else {}
        photo = read(tmp_path, files.saved(frames[0], format_, save_all=True, append_images=frames[1:], **options))
        assert photo.extras["frames"] == 3
        assert (photo.pixels == 10).all()


# Names and places


def test_content_decides_not_the_suffix(tmp_path: Path) -> None:
    photo = read(tmp_path, files.saved(files.picture(), "PNG"), "lies.jpg")
    assert photo.format == "PNG"
    assert output_suffix(photo) == ".png"


@pytest.mark.parametrize(
    "name", ["two words.png", "Müßig Ñandú.png", "笑顔 😀.png", "a'b\"c;$(x).png", "tab\there.png"]
)
def test_names(tmp_path: Path, name: str) -> None:
    photo = Photo.from_array(files.picture(3, np.uint16))
    path = write_photo(photo, tmp_path / "Ordner ä" / name)
    assert np.array_equal(read_photo(path).pixels, photo.pixels)
    assert read_photo(path).source == path
    refused(tmp_path, b"", "the file is empty", name.replace("\t", ""))


def test_line_break_in_a_name_stays_out_of_the_message(tmp_path: Path) -> None:
    with pytest.raises(PhotoError) as caught:
        read_photo(tmp_path / "two\nlines.jpg")
    assert "two\\nlines.jpg" in str(caught.value)


def test_missing_folder_device_and_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    cases = {
        tmp_path / "no.jpg": "no such file",
        tmp_path: "this is a folder",
        tmp_path / "pipe": "a pipe",
        "a\0b": "file name",
    }
    for path, match in cases.items():
        with pytest.raises(PhotoError, match=match):
            read_photo(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(files.saved(files.picture(), "PNG"))
    (tmp_path / "x.png").chmod(0)
    with pytest.raises(PhotoError, match="permission denied"):
        read_photo(tmp_path / "x.png")


# Damage


def samples() -> dict[str, bytes]:
    """One small file of each kind of decoder."""
    array, alpha = files.picture(), files.picture(4)
    exif = b"Exif\0\0" + files.exif(6, thumbnail=files.saved(array, "JPEG"))
    meta = {"exif": exif, "icc_profile": files.icc()}
    heic = io.BytesIO()
    import pillow_heif

    pillow_heif.from_pillow(Image.fromarray(array)).save(heic, quality=80, exif=exif)
    return {
        "jpeg": files.saved(array, "JPEG", xmp=files.XMP % 6, **meta),
        "png": files.saved(array, "PNG", **meta),
        "png-16": files.deep_png(files.picture(4, np.uint16), files.png_chunk(b"eXIf", exif[6:])),
        "webp": files.saved(alpha, "WEBP", **meta),
        "webp-lossless": files.saved(alpha, "WEBP", lossless=True),
        "tiff": files.saved(array, "TIFF", **meta),
        "tiff-lzw": files.saved(array, "TIFF", compression="tiff_lzw"),
        "tiff-16": files.deep_tiff(files.picture(3, np.uint16)),
        "tiff-16-deflate": files.deep_tiff(files.picture(4, np.uint16), deflate=True),
        "tiff-16-planes": files.deep_tiff(files.picture(3, np.uint16), planar=True, deflate=True),
        "bmp": files.saved(array, "BMP"),
        "heif": heic.getvalue(),
        "avif": files.saved(array, "AVIF", **meta),
    }


SAMPLES = samples()


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", SAMPLES)
def test_cut_short(tmp_path: Path, kind: str, part: float) -> None:
    data = SAMPLES[kind]
    refused(tmp_path, data[: int(len(data) * part)], "damaged|not a photo")


@pytest.mark.parametrize("kind", SAMPLES)
def test_random_damage_is_a_photo_or_one_line(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    dice, data = random.Random(kind), SAMPLES[kind]
    for _ in range(40):
        broken = bytearray(data)
        start = dice.randrange(len(data)) if dice.random() < 0.5 else dice.randrange(min(400, len(data)))
        for at in range(start, min(len(data), start + dice.choice([1, 1, 4, 40]))):
            broken[at] = dice.randrange(256)
        message = ""
        try:
            photo = read(tmp_path, bytes(broken), "broken")
            write_photo(photo, tmp_path / f"out{output_suffix(photo)}")
        except PhotoError as error:
            message = str(error)
        assert len(message.splitlines()) <= 1
    if kind != "tiff-lzw":  # libpng and OpenCV are kept quiet; the libtiff inside Pillow offers no way
        assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "match"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"Dear diary, today\n" * 20, "not a photo", id="text"),
        pytest.param(b"\xff\xd8\xff\xe0", "not a photo|damaged", id="jpeg-magic-only"),
        pytest.param(bytes(1000), "not a photo", id="zeros"),
        pytest.param(b"GIF89a" + bytes(100), "not a photo", id="gif"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a photo", id="postscript"),
    ],
)
def test_not_a_photo(tmp_path: Path, data: bytes, match: str) -> None:
    refused(tmp_path, data, match)


@pytest.mark.parametrize("bits", [8, 16])
def test_header_with_a_huge_size(tmp_path: Path, bits: int) -> None:
    refused(
        tmp_path,
        files.png(60_000, 60_000, bits, 2, b""),
        "60000x60000 pixels are more than the limit of 200,000,000",
    )


def test_pixel_limit_is_ours_and_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow alone would raise at 200
    for kind, data in SAMPLES.items():
        (tmp_path / kind).write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read_photo(tmp_path / kind)
            read_photo(tmp_path / kind, max_pixels=37 * 53)
        with pytest.raises(PhotoError, match="limit of 1,960"):
            read_photo(tmp_path / kind, max_pixels=37 * 53 - 1)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_threads_leave_pillow_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(SAMPLES["jpeg"])
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_photo, [tmp_path / "x.jpg"] * 100))
    assert limit == Image.MAX_IMAGE_PIXELS
    assert warnings.filters == filters


def test_guard_holds_until_the_last_user_leaves() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    with quiet_pillow():
        with quiet_pillow():
            pass
        assert Image.MAX_IMAGE_PIXELS is None
    assert limit == Image.MAX_IMAGE_PIXELS


def test_compressed_bomb_in_metadata(tmp_path: Path) -> None:
    bomb = files.png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9))
    data = files.png(53, 37, 8, 2, files.picture().tobytes(), bomb)
    refused(tmp_path, data, "damaged|not a photo")


def test_tiff_that_points_to_itself_ends(tmp_path: Path) -> None:
    data = bytearray(files.deep_tiff(files.picture(3, np.uint16)))
    count = struct.unpack_from("<H", data, 8)[0]
    struct.pack_into("<I", data, 10 + 12 * count, 8)
    read(tmp_path, bytes(data))


def test_import_is_light() -> None:
    code = "import sys, likeness.photo; print([m for m in ('torch', 'cv2', 'pillow_heif') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
