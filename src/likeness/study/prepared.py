"""The pictures of a protocol: the truth and the degraded inputs, laid down under the same names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.degrade.files import MANIFEST, degrade_files
from likeness.memory import sha256
from likeness.photo import Photo, PhotoError, find_photos, read_photo, write_photo
from likeness.study import datasets
from likeness.study.pairs import draw_folder
from likeness.study.protocols import TRUTH, Protocol

SIDE = 512


@dataclass(frozen=True)
class Prepared:
    """Folders of a protocol's pictures; ``reference``: the set that FID and the like compare with."""

    inputs: Path
    truth: Path | None
    reference: tuple[Path, ...] | None
    data: Path
    count: int


def prepare(protocol: Protocol, output: Path, data: Path | None, reference: Path | None) -> Prepared:
    """The protocol's pictures: found in ``data`` (or where the data set lies), degraded into ``output/inputs``.

    Inputs that were made before from the same pictures, and are intact, are not made again. Raises DatasetError that
    says what is missing and how to get it, PhotoError for a folder without pictures or a picture that cannot be read.
    """
    if protocol.dataset is None:
        if data is None:
            raise datasets.DatasetError(f"protocol {protocol.name} needs your photographs: --data DIR")
        folder, true = data, [photo.path for photo in find_photos([data])]
        if not true:
            raise PhotoError(f"no photos in {data}")
        given: list[Path] = []
    else:
        dataset = datasets.find(protocol.dataset)
        folder = datasets.locate(protocol.dataset, data)
        true = datasets.files(dataset, folder, "truth") if protocol.truth else []
        given = datasets.files(dataset, folder, "input") if protocol.inputs else []
    truth = None
    if protocol.truth:
        truth = _laid_down(true, output / "truth", protocol.resize) if protocol.dataset or protocol.resize else folder
    if given:
        inputs = _laid_down(given, output / "inputs", protocol.resize)
    else:
        assert truth is not None
        assert protocol.recipe is not None
        assert protocol.seed is not None
        inputs = _drawn(truth, output / "inputs", protocol.recipe, protocol.seed, protocol.draws)
    return Prepared(inputs, truth, _reference(protocol, reference), folder, len(true or given))


def _reference(protocol: Protocol, chosen: Path | None) -> tuple[Path, ...] | None:
    if protocol.reference in (None, TRUTH):
        return None
    dataset = datasets.find(str(protocol.reference))
    folder = datasets.locate(dataset.name, chosen)
    return tuple(datasets.files(dataset, folder, dataset.parts[0].role))


def _laid_down(paths: Sequence[Path], folder: Path, kernel: str | None) -> Path:
    """Copies of 512 pixels a side as PNG under the pictures' own names, so that pairs are told by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        target = folder / f"{path.stem}.png"
        if target.exists():
            continue
        pixels = read_photo(path).as_float()
        if pixels.shape[:2] != (SIDE, SIDE):
            if kernel is None:
                raise PhotoError(f"{path} is {pixels.shape[1]}x{pixels.shape[0]}, not {SIDE}x{SIDE}")
            pixels = _resized(pixels, kernel)
        write_photo(Photo.from_array(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)), target)
    return folder


def _resized(pixels: np.ndarray, kernel: str) -> np.ndarray:
    """Antialiased, one channel after another: Pillow's kernels in 32-bit float."""
    from PIL import Image

    how = {"lanczos": Image.Resampling.LANCZOS, "bicubic": Image.Resampling.BICUBIC}[kernel]
    planes = [np.asarray(Image.fromarray(pixels[..., c]).resize((SIDE, SIDE), how)) for c in range(3)]
    return np.stack(planes, axis=-1)


def _drawn(truth: Path, folder: Path, recipe: str, seed: int, draws: int) -> Path:
    """All inputs in ``folder``; where there are several draws, each in a folder of its own."""
    parts = [draw_folder(number) for number in range(1, draws + 1)] if draws > 1 else []
    there = {path.name for path in folder.glob(f"{draw_folder('*')}/")}
    if there - set(parts) or (parts and (folder / MANIFEST).exists()):
        raise PhotoError(f"{folder} holds another number of draws: give another folder, -o DIR")
    for number, part in enumerate(parts):
        _degraded(truth, folder / part, recipe, seed + number)
    return folder if parts else _degraded(truth, folder, recipe, seed)


def _degraded(truth: Path, folder: Path, recipe: str, seed: int) -> Path:
    if not _intact(truth, folder, recipe, seed):
        entries = degrade_files([truth], folder, recipe, seed)
        if failed := [entry["error"] for entry in entries if entry.get("error")]:
            raise PhotoError(failed[0])
    return folder


def _intact(truth: Path, folder: Path, recipe: str, seed: int) -> bool:
    """Whether the manifest is of these very pictures and degradations, and its files are as they were written."""
    try:
        lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines]
        if {entry["input"] for entry in entries} != {str(photo.path) for photo in find_photos([truth])}:
            return False
        return all(
            (entry["recipe"], entry["seed"]) == (recipe, seed)
            and sha256(Path(entry["input"])) == entry["input_sha256"]
            and sha256(folder / entry["output"]) == entry["output_sha256"]
            for entry in entries
        )
    except (OSError, ValueError, KeyError):  # no manifest, or half of one: the inputs are made again
        return False
