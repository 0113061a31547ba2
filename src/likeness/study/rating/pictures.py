"""What is rated: the pictures that all methods have in what ``likeness compare`` writes."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from likeness.photo import SUPPORTED_SUFFIXES, PhotoError, read_photo

INPUTS, TRUTH = "inputs", "truth"
_HEIF = (".heic", ".heif", ".hif")  # whose header Pillow alone does not read
LARGEST = 2048  # pixels a side that a page is sent


@dataclass(frozen=True)
class Material:
    """``methods`` (two or more) and ``pictures`` (one or more, relative names without suffix, all methods have them).

    ``files``: (folder, picture) -> file, where the folder is a method, ``INPUTS`` or ``TRUTH``; the last two where they
    are there. ``left_out``: in words, which pictures are not rated, and why.
    """

    methods: tuple[str, ...]
    pictures: tuple[str, ...]
    files: Mapping[tuple[str, str], Path]
    left_out: tuple[str, ...] = field(default=())


def find_material(folder: Path, *, with_truth: bool = False) -> Material:
    """What is to be rated in ``folder``: ``<method>/<picture>``, and ``inputs/`` and ``truth/`` beside them.

    A method is a folder with pictures of any format we write; hidden folders and a picture's ``.samples`` are none.
    Pictures belong together by their relative name, whatever the suffix. ``with_truth``: only pictures with a truth.
    Raises PhotoError when there are not two methods, or no picture that all have.
    """
    if not folder.is_dir():
        raise PhotoError(f"{folder}: there is no such folder; give the one that likeness compare wrote")
    problems: dict[str, str] = {}
    by_folder: dict[str, dict[str, Path]] = {}
    for sub in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        found = _pictures_below(sub, problems)
        if found or sub.name == TRUTH:
            by_folder[sub.name] = found
    context = {name: by_folder.pop(name, {}) for name in (INPUTS, TRUTH)}
    if len(by_folder) < 2:
        have = f"only {next(iter(by_folder))}" if by_folder else "none"
        raise PhotoError(f"{folder}: needs folders of two or more methods with pictures, has {have}")
    if with_truth and not context[TRUTH]:
        raise PhotoError(f"{folder / TRUTH}: this question needs the true pictures; run likeness compare with --truth")
    needed = {**by_folder, TRUTH: context[TRUTH]} if with_truth else by_folder
    names = sorted({name for found in by_folder.values() for name in found})
    for name in names:
        lacking = [sub for sub, found in needed.items() if name not in found]
        if lacking:
            problems.setdefault(name, f"not in {', '.join(lacking)}")
    pictures = tuple(name for name in names if name not in problems)
    rated = set(pictures)
    files = {
        (sub, name): path
        for sub, found in {**context, **by_folder}.items()
        for name, path in found.items()
        if name in rated
    }
    left_out = tuple(f"{name}: {why}" for name, why in sorted(problems.items()))
    if not pictures:
        raise PhotoError(f"{folder}: no picture can be rated: {'; '.join(left_out[:5])}")
    return Material(tuple(by_folder), pictures, files, left_out)


def _pictures_below(folder: Path, problems: dict[str, str]) -> dict[str, Path]:
    """Relative name without suffix -> file; what cannot be used is added to ``problems``."""
    found: dict[str, Path] = {}
    for here, subfolders, files in os.walk(folder):
        subfolders[:] = sorted(s for s in subfolders if not s.startswith(".") and not s.endswith(".samples"))
        for file in sorted(files):
            path = Path(here, file)
            if file.startswith(".") or path.suffix.lower() not in SUPPORTED_SUFFIXES:
                continue
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in found:
                problems[name] = f"{folder.name} has two of this name"
            found[name] = path
            try:
                if path.suffix.lower() not in _HEIF:
                    Image.open(path).close()  # the header only
            except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
                problems[name] = f"cannot be read in {folder.name}"
    return found


def as_png(path: Path) -> bytes:
    """The picture as a PNG without metadata, at most ``LARGEST`` pixels a side.

    What a rater is sent must not tell one method from another by its format or by notes in the file. Raises PhotoError.
    """
    photo = read_photo(path)
    pixels = photo.pixels if photo.pixels.dtype == "uint8" else (photo.pixels >> 8).astype("uint8")
    picture = Image.fromarray(pixels)
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=1, icc_profile=photo.icc)
    return stream.getvalue()
