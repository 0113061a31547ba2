"""Small intact files of every kind that we read; the fuzzing starts from them."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

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

    from likeness.train.checkpoint import TRAINING

    tensors = {"a.weight": torch.arange(48.0).reshape(3, 4, 2, 2), "a.bias": torch.ones(3), "n": torch.tensor(7)}
    zipped, legacy = io.BytesIO(), io.BytesIO()
    torch.save({"params_ema": tensors, "iter": 5, "name": "x"}, zipped)
    torch.save({"state_dict": tensors}, legacy, _use_new_zipfile_serialization=False)
    ours = io.BytesIO()
    torch.save({**{key: {} for key in TRAINING}, "ema": tensors, "step": 7}, ours)
    return {
        "weights/last.ckpt": ours.getvalue(),
        "weights/zip.pth": zipped.getvalue(),
        "weights/legacy.pth": legacy.getvalue(),
        "weights/plain.safetensors": save(tensors, {"who": "us"}),
    }


@cache
def videos() -> Seeds:
    """The containers and codecs that people have, with sound, small; none without PyAV."""
    try:
        import av
    except ImportError:
        return {}
    made = {}
    for name, codec, layout in (
        ("h264.mp4", "libx264", "yuv420p"),
        ("hevc.mkv", "libx265", "yuv420p10le"),
        ("vp9.webm", "libvpx-vp9", "yuv420p"),
        ("mjpeg.avi", "mjpeg", "yuvj420p"),
        ("turned.mov", "mpeg4", "yuv420p"),
        ("animated.gif", "gif", "rgb8"),
        ("mpeg2.ts", "mpeg2video", "yuv420p"),
    ):
        stream = io.BytesIO()
        suffix = name.rpartition(".")[2]
        kinds = {"mkv": "matroska", "ts": "mpegts"}
        with av.open(stream, "w", format=kinds.get(suffix, suffix)) as out:
            video = out.add_stream(codec, rate=25)
            if codec == "libx265":
                video.options = {"x265-params": "log-level=none"}
            video.width, video.height, video.pix_fmt = 64, 48, layout
            if suffix == "mov":
                video.set_display_rotation(90)
            sound = None if suffix == "gif" else out.add_stream("libopus" if suffix == "webm" else "aac", rate=48000)
            for k in range(8):
                frame = av.VideoFrame.from_ndarray(np.roll(picture(48, 64), 3 * k, axis=1), "rgb24")
                out.mux(video.encode(frame.reformat(format=layout)))
            out.mux(video.encode(None))
            if sound is not None:
                tone = np.sin(np.arange(9600) / 17).astype(np.float32)[None] / 4
                heard = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
                heard.sample_rate = 48000
                out.mux(sound.encode(heard))
                out.mux(sound.encode(None))
        made[f"video/{name}"] = stream.getvalue()
    return made


@cache
def packed() -> Seeds:
    """Files of many files: shards, downloaded sets, zipped weights; and arrays."""
    faces = {f"set/{k:02}.jpg": saved(Image.fromarray(picture(512, 512)), "JPEG", quality=20) for k in range(2)}
    member = next(one.member for one in _entries() if one.member)
    tars = {"tar": "w", "tgz": "w:gz", "tbz": "w:bz2", "txz": "w:xz"}
    zipped, weights_zip, made = io.BytesIO(), io.BytesIO(), {}
    for suffix, mode in tars.items():
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode=mode) as tar:
            for name, data in faces.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        made[f"archive/set.{suffix}"] = stream.getvalue()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in faces.items():
            archive.writestr(name, data)
    with zipfile.ZipFile(weights_zip, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"models/{member}", bytes(range(256)) * 9)
    return {
        **made,
        "shard/faces.tar": made["archive/set.tar"],
        "archive/set.zip": zipped.getvalue(),
        "pack/models.zip": weights_zip.getvalue(),
        "dictionary/left_eye_256_center.npy": _array(np.ones((2, 2 * 40 * 40), np.float32)),
        **_niqe(),
    }


def _entries() -> Iterable[Any]:
    from likeness.weights.catalogue import entries

    return entries()


def _array(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _niqe() -> Seeds:
    from likeness.measure.niqe import builtin_model

    made = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        builtin_model().save(path)
        made["niqe/model.npz"] = path.read_bytes()
    with suppress(ImportError):
        from scipy.io import savemat

        stream = io.BytesIO()
        savemat(stream, {"mu_prisparam": np.ones((1, 36)), "cov_prisparam": np.eye(36)})
        made["niqe/model.mat"] = stream.getvalue()
    return made


@cache
def texts() -> Seeds:
    """Files in words: our training recipes, a catalogue, landmarks, records, a list of pairs."""
    folder = Path(__file__).parents[2]
    recipes = {f"recipe/{path.name}": path.read_bytes() for path in sorted((folder / "recipes").glob("*.yaml"))}
    catalogue = (folder / "src/likeness/weights/catalogue.yaml").read_bytes()
    points = {"a.jpg": [[[x * 1.5, x / 3] for x in range(68)]]}
    face = {"output": "faces/00.png", "status": "kept", "sharpness": 0.5, "size": [512, 512]}
    memory = {
        "key": "key",
        "input_sha256": hashlib.sha256(b"").hexdigest(),
        "outputs": {},
        "record": {"faces": [{"status": "restored"}]},
    }
    return {
        **dict(list(recipes.items())[:3]),
        "catalogue/catalogue.yaml": catalogue[: catalogue.rindex(b"\n- ", 0, 2500) + 1],
        "landmarks/points.json": json.dumps(points).encode(),
        "manifest/manifest.jsonl": b"".join(json.dumps(face).encode() + b"\n" for _ in range(3)),
        "memory/photo.json": json.dumps(memory).encode(),
        "pairs/pairs.csv": b"a,b,same,group\n" + b"a.png,b.png,1,near\na.png,c.png,0,far\n" * 5,
    }


@cache
def all_seeds() -> Seeds:
    """All of them, most of them photos."""
    return {**photos(), **videos(), **weights(), **packed(), **texts()}
