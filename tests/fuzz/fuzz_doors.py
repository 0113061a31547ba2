"""Every door through which a user's file comes in: each reads one file and says "read" or "refused".

Only the errors that a reader promises are caught; they must be one line. Anything else is a finding.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

Door = Callable[[Path, Path], str]  # the file, and an empty folder to write into


def _photo(path: Path, folder: Path) -> str:
    from likeness.photo import PhotoError, output_suffix, read_photo, write_photo
    from likeness.provenance import ProvenanceError, read_provenance
    from likeness.train.dataset.sources import decode
    from likeness.train.pictures import Entry, read_picture

    for reader in (  # those of training and of data sets: 512x512 only
        lambda: read_picture(Entry(path.name, path, -1, path.stat().st_size)),
        lambda: decode(path.read_bytes()),
    ):
        _refused(reader, ValueError)
    if _refused(lambda: read_photo(path), PhotoError):
        return "refused"
    _refused(lambda: read_provenance(path), (PhotoError, ProvenanceError))
    photo = read_photo(path)
    target = folder / f"out{output_suffix(photo)}"
    write_photo(photo, target)
    assert read_photo(target).pixels.shape == photo.pixels.shape
    return "read"


def _video(path: Path, folder: Path) -> str:
    """Probed, decoded, encoded and joined with its sound again: all of ``likeness video`` but the faces."""
    from likeness.video.encode import Encoder, check_encoder
    from likeness.video.errors import VideoError
    from likeness.video.read import Health, probe, read_frames
    from likeness.video.settings import VideoSettings
    from likeness.video.work import Work
    from likeness.video.write import check_output, write_video

    def through() -> None:
        clip = probe(path)
        target = folder / "out.mkv"
        settings = VideoSettings()
        check_encoder(settings.codec, clip)
        check_output(clip, target, settings)
        encoder, packets, state = Encoder(clip, settings.codec, 16), [], {}
        for frame in read_frames(clip, Health()):
            assert frame.rgb(clip.colour).shape == (clip.height, clip.width, 3)
            packets += encoder.add(frame)
            state["frames"] = frame.index + 1
        packets += encoder.end()
        if not packets:
            raise VideoError(f"{path}: it has no frames")
        work = Work(target, "key")
        work.begin()
        work.save(0, packets, encoder.headers, state, {})
        write_video(target, target.suffix, clip, settings, work, 1)
        probe(target)

    return "refused" if _refused(through, VideoError) else "read"


def _weights(path: Path, folder: Path) -> str:
    from likeness.train.checkpoint import load_checkpoint
    from likeness.weights.checkpoint import read_checkpoint
    from likeness.weights.errors import WeightsError

    if path.suffix == ".ckpt":
        return "refused" if _refused(lambda: load_checkpoint(path), WeightsError) else "read"
    return "refused" if _refused(lambda: read_checkpoint(path), WeightsError) else "read"


def _pack(path: Path, folder: Path) -> str:
    from likeness.weights.catalogue import entries
    from likeness.weights.errors import WeightsError
    from likeness.weights.pack import take_out

    entry = next(one for one in entries() if one.member)
    return "refused" if _refused(lambda: take_out(entry, path, folder / "out.pth"), WeightsError) else "read"


def _dictionary(path: Path, folder: Path) -> str:
    """The file is the first of a whole dictionary."""
    from itertools import product

    import numpy as np

    from likeness.methods.dfdnet.dictionary import PARTS, SCALES, SIZE, dictionary_files, entry_side, read_dictionary
    from likeness.weights.errors import WeightsError

    inside = folder / "dictionary"
    inside.mkdir()
    for name, (size, part) in zip(dictionary_files(inside), product(SCALES, PARTS), strict=True):
        np.save(name, np.ones((2, min(SIZE // size, 8) * entry_side(part, size) ** 2), np.float32))
    shutil.copy(path, dictionary_files(inside)[0])
    return "refused" if _refused(lambda: read_dictionary(inside, 1), WeightsError) else "read"


def _niqe(path: Path, folder: Path) -> str:
    from likeness.measure.niqe import NiqeModel
    from likeness.weights.errors import WeightsError

    return "refused" if _refused(lambda: NiqeModel.read(path), WeightsError) else "read"


def _shard(path: Path, folder: Path) -> str:
    """As training and as the steps of ``likeness dataset`` list a shard."""
    from likeness.train.dataset.sources import list_pictures
    from likeness.train.pictures import find_pictures, read_picture

    def through() -> None:
        for entry in find_pictures([str(path)]):
            read_picture(entry)

    mistaken = _refused(through, (ValueError, FileNotFoundError))
    return "refused" if _refused(lambda: list_pictures([path]), (ValueError, FileNotFoundError)) or mistaken else "read"


def _archive(path: Path, folder: Path) -> str:
    from likeness.study.datasets import DatasetError
    from likeness.study.unpacking import unpack

    outside = set(path.parent.parent.iterdir())
    try:
        return "refused" if _refused(lambda: unpack(path, folder / "unpacked", path.suffix), DatasetError) else "read"
    finally:
        assert set(path.parent.parent.iterdir()) <= outside, "it was unpacked outside its folder"


def _recipe(path: Path, folder: Path) -> str:
    from likeness.train.recipe import load_recipe

    return "refused" if _refused(lambda: load_recipe(path), ValueError) else "read"


def _catalogue(path: Path, folder: Path) -> str:
    from likeness.weights.catalogue import read_catalogue
    from likeness.weights.errors import CatalogueError

    text = path.read_bytes().decode("utf-8", "replace")
    return "refused" if _refused(lambda: read_catalogue(text), CatalogueError) else "read"


def _landmarks(path: Path, folder: Path) -> str:
    from likeness.conditions.landmarks import read_landmarks

    return "refused" if _refused(lambda: read_landmarks(path), ValueError) else "read"


def _manifest(path: Path, folder: Path) -> str:
    from likeness.train.dataset.sources import MANIFEST, read_manifest

    shutil.copy(path, folder / MANIFEST)
    return "refused" if _refused(lambda: read_manifest(folder), ValueError) else "read"


def _memory(path: Path, folder: Path) -> str:
    """What an output folder remembers: a damaged one is as none."""
    from likeness.memory import Memory

    photo = folder / "photo.jpg"
    photo.write_bytes(b"")
    memory = Memory(path, folder, "key")
    memory.owns("photo.jpg")
    return "refused" if memory.recall(photo) is None else "read"


def _pairs(path: Path, folder: Path) -> str:
    from likeness.photo import PhotoError
    from likeness.study.identity.layouts import pairs

    return "refused" if _refused(lambda: pairs(path), PhotoError) else "read"


def _refused(read: Callable[[], object], kinds: type[Exception] | tuple[type[Exception], ...]) -> bool:
    try:
        read()
    except kinds as error:
        said = str(error).splitlines()
    else:
        return False
    assert len(said) == 1, said
    return True


DOORS: dict[str, Door] = {
    "photo": _photo, "video": _video, "weights": _weights, "pack": _pack, "dictionary": _dictionary, "niqe": _niqe,
    "shard": _shard, "archive": _archive, "recipe": _recipe, "catalogue": _catalogue, "landmarks": _landmarks,
    "manifest": _manifest, "memory": _memory, "pairs": _pairs,
}  # fmt: skip
