"""Extrinsic iterative learning: restore a whole training set with a model (papers/001, section 3.3, eq. 10).

The next model is then trained on x* = f(x). A refinement that changes who somebody is would teach the next model to do
so: such a face enters the set as it was, and the record names it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from likeness import __version__
from likeness.faces import Face, identity_distance
from likeness.measure.functional import gradient_energy, psnr
from likeness.memory import FOLDER, sha256
from likeness.methods import OptionError
from likeness.methods import load as load_method
from likeness.photo import (
    PhotoInput,
    add_suffix,
    assign_outputs,
    atomic_path,
    atomic_write_bytes,
    atomic_write_text,
    sweep_leftovers,
)
from likeness.photo.errors import DECODER_ERRORS, one_line, shown
from likeness.pipeline import Session, Settings
from likeness.pipeline.work import FaceWork
from likeness.train.pictures import SIDE, Entry, find_pictures, read_picture

if TYPE_CHECKING:
    from likeness.measure.niqe import NiqeModel

IDENTITY_LIMIT = 0.4  # dlib's distance; 0.55 separates two people
SET, MANIFEST, SUMMARY = "refined", "manifest.jsonl", "summary.json"
FIGURES = ("identity_distance", "psnr", "sharpness_before", "sharpness_after", "niqe_before", "niqe_after")
_LISTED = 3  # names in an error
_UNREADABLE: tuple[type[Exception], ...] = (*DECODER_ERRORS, Image.DecompressionBombError)


@dataclass(frozen=True)
class _Item:
    """A picture of the set: where it comes from, where it goes and where it is remembered."""

    entry: Entry
    output: Path
    memory: Path


@dataclass(frozen=True)
class _Loaded:
    """A picture on its way: done already (``work`` is None), or to be restored, or it cannot be read."""

    item: _Item
    digest: str | None = None
    work: FaceWork | None = None
    error: str | None = None


def refine(
    sources: Sequence[str],
    output: Path,
    settings: Settings,
    *,
    limit_count: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Restore all aligned faces of ``sources`` (folders, tar shards, globs) into ``output``; returns the summary.

    ``output/refined/NAME.png``: the set, (512, 512, 3) 8 bits, which training reads as a source. A face whose identity
    distance (after rounding to 8 bits) is above ``settings.identity_limit`` is there with its original pixels: it is
    ``kept``. A picture that cannot be read or restored is ``failed`` and not there. ``manifest.jsonl`` has a record for
    each picture in the order of the sources: name, source, source_sha256, output, output_sha256, status, reason, and
    FIGURES, of the restored face against the original also where that was kept: PSNR in dB (null for equal pictures),
    sharpness as ``gradient_energy``, NIQE by our model (null for a picture without texture). ``summary.json``: counts,
    means over the refined ones, the names of the others, how all was done. The sources are only read.

    What is done in this way and intact is not done again; after a kill at any moment the same call gives the same files
    as one that ran through. ``limit_count``: only the first so many pictures. ``progress(done, total)`` is called after
    each. Raises FileNotFoundError for a source without pictures, ValueError for a wrong setting, an output inside a
    source or one that holds other pictures, OSError when ``output`` cannot be written, and what ``Session`` raises.
    """
    job = Refining(sources, output, settings, limit_count)
    job.begin()
    job.refine(range(len(job.items)), progress)
    return job.report()


class Refining:
    """The job of ``refine``, in parts, so that several processes may share it: each makes one with the same arguments
    and refines some of ``items``; one of them begins and reports. Raises as ``refine`` does."""

    def __init__(
        self, sources: Sequence[str], output: Path, settings: Settings, limit_count: int | None = None
    ) -> None:
        if limit_count is not None and limit_count < 1:
            raise ValueError(f"the number of pictures must be at least 1, got {limit_count}")
        self.sources, self.output = sources, output
        self.items = _plan(sources, output)[:limit_count]
        restorer = load_method(
            settings.method, device=settings.device, precision=settings.precision, weights=settings.weights
        )
        if restorer.card.needs:
            needs = " and ".join(restorer.card.needs)
            raise OptionError(
                f"{restorer.card.name} needs {needs} for each face: choose a method that needs only the face"
            )
        self.session = Session(replace(settings, aligned=True, samples=1), restorer)
        self.model = _niqe_model()
        self.how = _describe(self.session, self.model)
        self.key = hashlib.sha256(json.dumps(self.how, sort_keys=True).encode()).hexdigest()

    def begin(self) -> None:
        """Make the folder ready. What tells of a whole set goes: this is none until the end."""
        for name in (MANIFEST, SUMMARY):
            (self.output / name).unlink(missing_ok=True)
        sweep_leftovers(self.output)
        (self.output / SET).mkdir(parents=True, exist_ok=True)

    def refine(self, numbers: Sequence[int], progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Refine the items of these numbers that are not done and intact."""

        def finish(loaded: _Loaded) -> None:
            if loaded.digest is None or loaded.work is None:
                _store(loaded.item, self.key, _failed(loaded.digest, loaded.error), None)
            else:
                _store(loaded.item, self.key, *_judge(self.session, self.model, loaded.work, loaded.digest))

        items = [self.items[number] for number in numbers]
        for done, _ in enumerate(_stream(self.session, items, lambda item: _load(item, self.key), finish), 1):
            progress(done, len(items))

    def report(self) -> dict[str, Any]:
        """Write the manifest and the summary, which is returned."""
        return _report(self.items, self.output, {**self.how, "sources": [shown(source) for source in self.sources]})


def _plan(sources: Sequence[str], output: Path) -> list[_Item]:
    """All pictures, each once, with output names that no two share. Raises FileNotFoundError and ValueError."""
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output} is a file, not a folder: choose another output folder")
    found: dict[tuple[Path, int], Entry] = {}
    for source in sources:
        for entry in find_pictures([source]):
            if entry.path.resolve().is_relative_to(output.resolve()):
                raise ValueError(f"{output} lies in {shown(source)}: choose an output folder outside of the sources")
            found.setdefault((entry.path.resolve(), entry.offset), entry)
    stems = assign_outputs([PhotoInput(entry.path, Path(entry.name)) for entry in found.values()])
    items = [
        _Item(entry, output / SET / add_suffix(stem, ".png"), output / FOLDER / add_suffix(stem, ".json"))
        for entry, stem in zip(found.values(), stems, strict=True)
    ]
    ours = {item.output for item in items if item.memory.exists()}
    others = sorted(path for path in (output / SET).rglob("*") if path.is_file() and path not in ours)
    if others:  # training would read them with the rest
        names = ", ".join(shown(path.name) for path in others[:_LISTED])
        raise ValueError(
            f"{output / SET} holds {len(others)} files that were not refined from these sources, such as {names}: "
            "choose another output folder"
        )
    return items


def _niqe_model() -> NiqeModel | None:
    from likeness.measure.niqe import builtin_model

    try:
        return builtin_model()
    except FileNotFoundError:  # a package without it: the records go without NIQE, and the summary says so
        return None


def _describe(session: Session, model: NiqeModel | None) -> dict[str, Any]:
    return {
        "likeness": __version__,
        "method": session.restorer.card.name,
        "options": session.options,
        "weights_sha256": session.restorer.fingerprint,
        "precision": str(getattr(session.restorer, "dtype", "")).removeprefix("torch."),
        "seed": session.settings.seed,
        "identity_limit": session.settings.identity_limit,
        "recognizer": session.recognizer.name,
        "niqe_model": model.source if model else None,
    }


def _stream(
    session: Session, items: Sequence[_Item], load: Callable[[_Item], _Loaded], finish: Callable[[_Loaded], None]
) -> Iterator[None]:
    """Read, restore and write on three threads, batch by batch; yields once for each item. Few are in memory."""
    source = iter(items)
    reading: deque[Future[_Loaded]] = deque()
    writing: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
        while True:
            while len(reading) < session.batch + 2 and (item := next(source, None)) is not None:
                reading.append(reader.submit(load, item))
            if not reading:
                break
            loaded = [reading.popleft().result() for _ in range(min(session.batch, len(reading)))]
            if works := [one.work for one in loaded if one.work is not None]:
                session.restore(works)
            for one in loaded:
                if one.work is None and one.error is None:
                    yield None
                else:
                    writing.append(writer.submit(finish, one))
            while len(writing) > session.batch + 2:
                yield writing.popleft().result()
        while writing:
            yield writing.popleft().result()


def _load(item: _Item, key: str) -> _Loaded:
    digest = None
    try:
        digest = hashlib.sha256(_bytes(item.entry)).hexdigest()
        if _is_done(item, key, digest):
            return _Loaded(item, digest)
        crop = read_picture(item.entry).astype(np.float32) / np.float32(255)
    except _UNREADABLE as error:
        return _Loaded(item, digest, error=one_line(str(error)) or type(error).__name__)
    return _Loaded(item, digest, FaceWork(Face.aligned(SIDE, SIDE), crop))


def _bytes(entry: Entry) -> bytes:
    with entry.path.open("rb") as file:
        if entry.offset >= 0:
            file.seek(entry.offset)
        return file.read(entry.size)


def _is_done(item: _Item, key: str, digest: str) -> bool:
    """In this very way, from the same bytes, and the output is as it was written."""
    try:
        memory = json.loads(item.memory.read_text(encoding="utf-8"))
        record = memory["record"]
        same = memory["key"] == key and record["source_sha256"] == digest
        return bool(same and record["status"] != "failed" and sha256(item.output) == record["output_sha256"])
    except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged: it is done again
        return False


def _judge(
    session: Session, model: NiqeModel | None, work: FaceWork, digest: str
) -> tuple[dict[str, Any], np.ndarray | None]:
    """The record, and the (512, 512, 3) uint8 pixels that enter the set (None: none do)."""
    if work.error is not None:
        return _failed(digest, work.error), None
    refined = np.rint(work.samples[0] * 255).astype(np.uint8)
    before, after = work.crop, refined.astype(np.float32) / np.float32(255)
    who, then = session.recognizer.embed(np.stack([before, after]))
    distance = float(identity_distance(who, then))
    figures = {
        "identity_distance": _figure(distance),
        "psnr": _figure(psnr(after, before)),
        "sharpness_before": _figure(gradient_energy(before)),
        "sharpness_after": _figure(gradient_energy(after)),
    }
    if model is not None:
        figures |= {"niqe_before": _niqe(before, model), "niqe_after": _niqe(after, model)}
    limit = session.settings.identity_limit
    if limit is not None and distance > limit:
        reason = f"identity distance {distance:.3f} is above the limit of {limit:g}"
        original = np.rint(before * 255).astype(np.uint8)
        return {"source_sha256": digest, "status": "kept", "reason": reason, **figures}, original
    return {"source_sha256": digest, "status": "refined", "reason": None, **figures}, refined


def _failed(digest: str | None, reason: str | None) -> dict[str, Any]:
    return {"source_sha256": digest, "status": "failed", "reason": reason}


def _niqe(picture: np.ndarray, model: NiqeModel) -> float | None:
    from likeness.measure.niqe import niqe

    try:
        return _figure(niqe(picture, model))
    except ValueError:  # a flat picture has no texture to judge
        return None


def _figure(value: float) -> float | None:
    """Six digits, which another order of summation does not change; None for what is not finite."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _store(item: _Item, key: str, record: dict[str, Any], pixels: np.ndarray | None) -> None:
    """The record first, with the hash of the picture to come: after a kill between the two it is done again.

    The picture is written beside the record and then moved, so that the set never holds half a file, hidden or not.
    """
    data = None if pixels is None else _png(pixels)
    digest = None if data is None else hashlib.sha256(data).hexdigest()
    record = {**record, "output": None if data is None else f"{SET}/{shown(item.output.name)}", "output_sha256": digest}
    atomic_write_text(item.memory, json.dumps({"key": key, "record": record}, ensure_ascii=False))
    if data is None:
        item.output.unlink(missing_ok=True)  # from an earlier run that could restore it
    else:
        waiting = item.memory.with_suffix(".png")
        atomic_write_bytes(waiting, data)
        waiting.replace(item.output)


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def _report(items: Sequence[_Item], output: Path, how: dict[str, Any]) -> dict[str, Any]:
    """Write the manifest from the records, one at a time, and the summary."""
    counts = {"pictures": len(items), "refined": 0, "kept": 0, "failed": 0}
    values: dict[str, list[float]] = {name: [] for name in FIGURES}
    named: dict[str, list[dict[str, Any]]] = {"kept": [], "failed": []}
    with atomic_path(output / MANIFEST) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for item in items:
            record = json.loads(item.memory.read_text(encoding="utf-8"))["record"]
            entry = item.entry
            source = entry.path if entry.offset >= 0 else entry.path.parent
            record = {"name": shown(entry.name), "source": shown(source), **record}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            counts[record["status"]] += 1
            if record["status"] == "refined":
                for name in FIGURES:
                    values[name] += [record[name]] if record.get(name) is not None else []
            else:
                named[record["status"]].append({key: record[key] for key in ("name", "source", "reason")})
    means = {name: _figure(float(np.mean(found))) if found else None for name, found in values.items()}
    summary = {**how, "counts": counts, "means_of_refined": means, **named}
    atomic_write_text(output / SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    return summary
