"""Small intact files of every kind that we read; the fuzzing starts from them."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

Seeds = dict[str, bytes]  # "kind/name.suffix" -> its bytes


def picture(height: int = 40, width: int = 56, channels: int = 3) -> np.ndarray:
    """A smooth uint8 picture with some noise, (H, W, channels)."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).integers(0, 24, (height, width, channels))
    return (np.stack([y * 3, x * 3, x + y, 255 - y][:channels], axis=2) + noise).clip(0, 255).astype(np.uint8)


def saved(image: Image.Image, format_: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def deep_png() -> bytes:
    """16 bit RGB, which Pillow does not write."""
    rows = (picture().astype(">u2") * 257).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"tEXt", b"Comment\0words"), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)


def chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk with its sum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _metadata() -> dict[str, object]:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Acme"
    exif.get_ifd(0x8825).update({1: "N", 2: (51.0, 30.0, 0.0)})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return {"exif": exif, "icc_profile": profile}


@cache
def photos() -> Seeds:
    """Every format, mode and way of storing that ``read_photo`` knows, and some that it refuses."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    rgb, rgba = Image.fromarray(picture()), Image.fromarray(picture(channels=4))
    grey, meta = rgb.convert("L"), _metadata()
    frames = [Image.fromarray(np.roll(picture(), i * 5, axis=1)) for i in range(3)]
    animated = {"save_all": True, "append_images": frames[1:], "duration": 40}
    floating = Image.fromarray(picture()[..., 0].astype(np.float32) / 255)
    deep = Image.fromarray(picture()[..., 0].astype(np.uint16) * 257)
    return {
        "photo/base.jpg": saved(rgb, "JPEG", quality=90, **meta),
        "photo/progressive.jpg": saved(rgb, "JPEG", progressive=True, comment=b"hello"),
        "photo/cmyk.jpg": saved(rgb.convert("CMYK"), "JPEG"),
        "photo/grey.jpg": saved(grey, "JPEG"),
        "photo/rgb.png": saved(rgb, "PNG", **meta),
        "photo/rgba.png": saved(rgba, "PNG"),
        "photo/deep.png": deep_png(),
        "photo/grey16.png": saved(deep, "PNG"),
        "photo/palette.png": saved(rgb.quantize(16), "PNG", transparency=3),
        "photo/bits.png": saved(rgb.convert("1"), "PNG"),
        "photo/animated.png": saved(frames[0], "PNG", **animated),
        "photo/lossy.webp": saved(rgb, "WEBP", quality=80, **meta),
        "photo/lossless.webp": saved(rgba, "WEBP", lossless=True),
        "photo/animated.webp": saved(frames[0], "WEBP", **animated),
        "photo/raw.tif": saved(rgb, "TIFF", **meta),
        "photo/lzw.tif": saved(rgb, "TIFF", compression="tiff_lzw"),
        "photo/deflate.tif": saved(rgba, "TIFF", compression="tiff_adobe_deflate"),
        "photo/jpeg.tif": saved(rgb, "TIFF", compression="jpeg"),
        "photo/deep.tif": saved(deep, "TIFF"),
        "photo/float.tif": saved(floating, "TIFF"),
        "photo/pages.tif": saved(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        "photo/rgb.bmp": saved(rgb, "BMP"),
        "photo/palette.bmp": saved(rgb.quantize(16), "BMP"),
        "photo/rgb.heic": saved(rgb, "HEIF", quality=80, **meta),
        "photo/rgba.avif": saved(rgba, "AVIF", quality=80),
        "photo/refused.gif": saved(rgb.quantize(16), "GIF"),
    }


@cache
def weights() -> Seeds:
    """A checkpoint in each of the three ways that authors save them."""
    import torch
    from safetensors.torch import save

    tensors = {"a.weight": torch.arange(48.0).reshape(3, 4, 2, 2), "a.bias": torch.ones(3), "n": torch.tensor(7)}
    zipped, legacy = io.BytesIO(), io.BytesIO()
    torch.save({"params_ema": tensors, "iter": 5, "name": "x"}, zipped)
    torch.save({"state_dict": tensors}, legacy, _use_new_zipfile_serialization=False)
    return {
        "weights/zip.pth": zipped.getvalue(),
        "weights/legacy.pth": legacy.getvalue(),
        "weights/plain.safetensors": save(tensors, {"who": "us"}),
    }


@cache
def texts() -> Seeds:
    """Files in words: our training recipes, and a catalogue."""
    folder = Path(__file__).parents[2]
    recipes = {f"recipe/{path.name}": path.read_bytes() for path in sorted((folder / "recipes").glob("*.yaml"))}
    catalogue = (folder / "src/likeness/weights/catalogue.yaml").read_bytes()
    return {**dict(list(recipes.items())[:3]), "catalogue/catalogue.yaml": catalogue[:2500]}


@cache
def all_seeds() -> Seeds:
    """All of them, most of them photos."""
    return {**photos(), **weights(), **texts()}
