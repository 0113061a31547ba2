"""What the pages of the documentation name: photos, folders, masks, a clip, all of one portrait, small and quick."""

from __future__ import annotations

import shutil
from pathlib import Path

import documents
import numpy as np
from PIL import Image

import scenes

SHIPPED = "likeness.safetensors"  # the built-in weights, as training.md names them


def furnish(folder: Path) -> Path:
    """Everything that the pages name, in ``folder``. Faces are those of one portrait: small, and quick to restore."""
    portrait = scenes.portrait(256)
    face = np.ascontiguousarray((scenes.aligned_face() * 255).round().astype(np.uint8))
    people = {"anna": face, "ben": np.ascontiguousarray(face[:, ::-1]), "cleo": (face // 4 * 3).astype(np.uint8)}

    save(folder / "old.jpg", portrait)
    save(folder / "holiday.jpg", portrait)
    save(folder / "crop.png", face)
    save(folder / "tiny.png", np.asarray(Image.fromarray(face).resize((64, 64), Image.Resampling.BICUBIC)))
    save(folder / "group.jpg", scenes.on_canvas(256, 520, (portrait, 0, 0), (portrait, 0, 262)))
    save(folder / "album" / "lake.jpg", portrait)
    save(folder / "album" / "field.jpg", scenes.landscape())
    save(folder / "scans" / "print.tif", scenes.landscape())
    save(folder / "phone.heic", portrait)
    scenes.save_deep(folder / "deep.png", portrait.astype(np.uint16) * 257)
    with_alpha = np.dstack([scenes.landscape(), np.full((150, 200), 128, np.uint8)])
    save(folder / "logo.png", with_alpha)

    mask = np.zeros(portrait.shape[:2], np.uint8)
    mask[50:60, 100:125] = 255
    save(folder / "mask.png", mask)
    for name in ("lake", "field"):
        size = portrait.shape[:2] if name == "lake" else (150, 200)
        save(folder / "masks" / f"{name}.png", np.zeros(size, np.uint8))
    black = portrait.copy()
    black[52:56, 100:125] = 0
    save(folder / "black.png", black)

    for name, picture in people.items():
        for number in (1, 2):
            darker = (picture.astype(np.float32) * (1 - 0.1 * (number - 1))).astype(np.uint8)
            save(folder / "people" / name / f"{number}.jpg", darker)
            save(folder / "london" / f"{name}_{number:02}.jpg", darker)
    for number in (1, 2):
        save(folder / "anna" / f"{number}.jpg", scenes.portrait(480 + number))
    for where in ("clean", "my-photos", "faces"):
        for name in ("anna", "ben"):
            save(folder / where / f"{name}.png", people[name])
    for name, picture in people.items():
        save(folder / "photos" / f"{name}.jpg", scenes.on_canvas(700, 700, (picture, 90, 90)))

    from likeness.weights.builtin import builtin_path

    (folder / SHIPPED).symlink_to(builtin_path("likeness"))
    shutil.copytree(documents.ROOT / "recipes", folder / "recipes")
    made_up_weights(folder)
    return folder


def made_up_weights(folder: Path) -> None:
    """Files such as a user may bring: a small network as its authors save it, and a download that was cut short."""
    import torch

    from likeness.methods.deblurganv2.mobilenet import FPNMobileNet

    torch.manual_seed(0)
    torch.save({"model": FPNMobileNet(pyramid=16, width=8).state_dict()}, folder / "my_finetuned.pth")
    (folder / "Downloads").mkdir()
    (folder / "Downloads" / "GFPGANv1.4.pth").write_bytes(b"cut short")


def clip(path: Path, frames: int = 6) -> None:
    """A short video of the portrait. Needs PyAV."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width = stream.height = 256
        stream.pix_fmt = "yuv420p"
        for k in range(frames):
            moved = np.roll(scenes.portrait(256), k, axis=1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(moved), format="rgb24")))
        out.mux(stream.encode())


def save(path: Path, pixels: np.ndarray) -> None:
    """A picture of these pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".heic":
        from likeness.photo import Photo, write_photo

        write_photo(Photo.from_array(pixels), path)
    else:
        Image.fromarray(pixels).save(path, quality=92)
