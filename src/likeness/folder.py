"""Restore files into a folder: what is done and intact is not done twice, and a kill loses nothing.

What is remembered of each photo, and how, is in ``memory``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from likeness import __version__, memory, provenance
from likeness.memory import Memory
from likeness.photo import (
    Photo,
    PhotoError,
    PhotoInput,
    add_suffix,
    assign_outputs,
    atomic_path,
    atomic_write_text,
    find_photos,
    output_suffix,
    sweep_leftovers,
    write_photo,
)
from likeness.pipeline import Session, Settings, spread, stream
from likeness.pipeline.work import Finished
from likeness.results import PhotoResult, Report

Facts = dict[str, str] | None  # what is said of a picture, see `provenance`
UNCERTAINTY_WHITE = 0.1  # the standard deviation (of [0, 1]) that is drawn brightest


@dataclass(frozen=True)
class Task:
    """One input, the stem of its output (relative, without suffix), and what is remembered of it.

    ``source``: what its record and the errors call it; the path when empty.
    """

    input: Path
    stem: Path
    memory: Memory
    source: str = ""

    @property
    def name(self) -> str:
        """What its record calls it."""
        return self.source or str(self.input)

    def exists(self, name: str) -> bool:
        """Whether there is a file ``name`` in the output folder."""
        return (self.memory.output / name).exists()


def plan(inputs: Sequence[str | Path], output: Path) -> list[tuple[Path, Path]]:
    """Find the photos and give each a relative output stem that no other has: (input, stem) pairs.

    Earlier results are no inputs when ``output`` lies in a folder that is searched. Raises PhotoError when there
    are no photos, when ``output`` is a file, and when an output would replace its input.
    """
    if output.exists() and not output.is_dir():
        raise PhotoError(f"{output} is a file, not a folder: choose another output folder")
    around = any(Path(i).is_dir() and _inside(output, Path(i)) and not _inside(Path(i), output) for i in inputs)
    found = [p for p in find_photos(inputs) if not _inside(p.path, output if around else output / memory.FOLDER)]
    if not found:
        raise PhotoError(f"no photos in {', '.join(map(str, inputs))}")
    stems = assign_outputs(found)
    clash = next((p for p, stem in zip(found, stems, strict=True) if _same_file(p, output / stem)), None)
    if clash is not None:
        raise PhotoError(f"{clash.path} would be overwritten by its own restoration: choose another output folder")
    return [(p.path, stem) for p, stem in zip(found, stems, strict=True)]


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _same_file(photo: PhotoInput, stem: Path) -> bool:
    path = photo.path.resolve()
    return path.parent == stem.parent.resolve() and path.stem == stem.name


def restore_files(
    inputs: Sequence[str | Path],
    output: Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int, dict[str, Any]], None] = lambda done, total, record: None,
    ready: Callable[[Session], None] = lambda session: None,
) -> Report:
    """Restore photos into ``output`` and write ``output/report.json``; the way behind ``likeness restore``.

    ``progress(done, total, record)`` is called after each photo; ``ready(session)`` when all is loaded, before
    anything is written, and what it raises ends it. Raises PhotoError when no input is found, an output would
    replace its input, or another process is restoring into the folder, OSError when nothing can be written there, and
    what ``Session`` raises; everything else that goes wrong is in the report.
    """
    planned = plan(inputs, output)
    session = Session(settings)
    ready(session)
    with memory.alone(output):
        return _restore(planned, output, session, overwrite, progress)


def _restore(
    planned: Sequence[tuple[Path, Path]],
    output: Path,
    session: Session,
    overwrite: bool,
    progress: Callable[[int, int, dict[str, Any]], None],
) -> Report:
    key = key_of(session)
    sweep_leftovers(output)
    where = output / memory.FOLDER
    tasks = [Task(path, stem, Memory(where / add_suffix(stem, ".json"), output, key)) for path, stem in planned]
    records: dict[Path, dict[str, Any]] = {}
    for task, record in restore_tasks(session, tasks, overwrite=overwrite):
        records[task.stem] = record
        progress(len(records), len(tasks), record)
    report = Report(describe(session))
    for task in tasks:
        report.add(records[task.stem])
    atomic_write_text(output / "report.json", report_text(report))
    return report


def restore_tasks(
    session: Session, tasks: Sequence[Task], *, overwrite: bool = False
) -> Iterator[tuple[Task, dict[str, Any]]]:
    """Restore and write each task, unless it is done and intact; yields its record, those that were done first.

    What goes wrong with a photo is in its record.
    """
    todo: list[Task] = []
    for task in tasks:
        done = None if overwrite else task.memory.recall(task.input)
        if done is None:
            todo.append(task)
        else:
            yield task, done
    by_name = {task.name: task for task in todo}

    def write(finished: Finished) -> tuple[Task, dict[str, Any]]:
        task = by_name[finished.result.input]
        return task, _write(session, task, finished, overwrite)

    yield from stream(session, _jobs(todo), write, keep=session.settings.samples > 1)


def report_text(report: Report) -> str:
    """What ``report.json`` holds."""
    return json.dumps(report.as_dict(), indent=1, ensure_ascii=False) + "\n"


def _jobs(tasks: Sequence[Task]) -> Iterator[tuple[str, Photo | Path]]:
    for task in tasks:
        yield task.name, task.input


def describe(session: Session) -> dict[str, Any]:
    """How photos are restored: all that their pixels depend on, and some of what does not change them."""
    settings = asdict(session.settings)
    del settings["device"], settings["precision"], settings["batch"]
    settings["method"] = session.restorer.card.name
    settings["options"] = session.options
    settings["backend"] = getattr(session.restorer, "backend", "torch")
    settings["weights"] = str(settings["weights"]) if settings["weights"] else None
    for name in ("landmarks", "reference", "hole"):
        del settings[name]  # what counts is what is in them
    return {
        "likeness": __version__,
        "settings": settings,
        "given": {condition.name: condition.describe() for condition in session.conditions},
        "weights_sha256": session.restorer.fingerprint,
        "precision": str(getattr(session.restorer, "dtype", "")).removeprefix("torch."),
    }


def key_of(session: Session) -> str:
    """Of two sessions the same, when both restore in the same way."""
    return hashlib.sha256(json.dumps(describe(session), sort_keys=True).encode()).hexdigest()


def _write(session: Session, task: Task, finished: Finished, overwrite: bool) -> dict[str, Any]:
    result = finished.result
    try:
        if finished.photo is not None:
            result = _write_pictures(session, task, finished, finished.photo, overwrite)
    except (PhotoError, OSError) as error:
        reason = str(error) if isinstance(error, PhotoError) else f"cannot write {error.filename}: {error.strerror}"
        result = replace(result, output=None, extra_outputs=(), status="failed", reason=reason)
    return result.as_dict()


def _write_pictures(session: Session, task: Task, finished: Finished, photo: Photo, overwrite: bool) -> PhotoResult:
    output = task.memory.output
    unchanged = finished.result.status == "kept" and not finished.enlarged
    suffix = task.input.suffix if unchanged else output_suffix(photo)
    target = output / add_suffix(task.stem, suffix)
    facts = None
    if session.settings.provenance:
        facts = provenance.describe(session, finished.result.faces, memory.sha256(task.input))
    extra = {output / name: picture for name, picture in _sample_pictures(task, finished, facts).items()}
    names = [path.relative_to(output).as_posix() for path in (target, *extra)]
    foreign = next((n for n in names if task.exists(n) and not task.memory.owns(n)), None)
    if foreign is not None and not overwrite:
        raise PhotoError(f"{output / foreign} is there already and is not ours: use --overwrite to replace it")
    task.memory.intend(names)
    notes = tuple(finished.result.notes)
    if unchanged:
        with atomic_path(target) as partial:
            partial.write_bytes(task.input.read_bytes())
    else:
        photo, remark = provenance.stamp(photo, facts, target)
        notes += (remark,) if remark else ()
        write_photo(photo, target)
    for path, (pixels, of_it) in extra.items():
        write_photo(provenance.stamp(Photo.from_array(pixels), of_it, path)[0], path)
    result = replace(finished.result, output=names[0], extra_outputs=tuple(names[1:]), notes=notes)
    task.memory.done(task.input, names, result.as_dict())
    return result


def _sample_pictures(task: Task, finished: Finished, facts: Facts) -> dict[Path, tuple[np.ndarray, Facts]]:
    """With ``--samples K``, for each restored face: the K faces, their mean, the map of their spread, by path.

    With each what is said of how it was made (of the map nothing: it shows no face).
    """
    pictures: dict[Path, tuple[np.ndarray, Facts]] = {}
    folder = add_suffix(task.stem, ".samples")
    for number, face in enumerate(finished.restored, 1):
        if len(face.samples) > 1:
            for k, sample in enumerate(face.samples, 1):
                of_it = facts and provenance.of_sample(facts, k - 1)
                pictures[folder / f"face-{number}-sample-{k}.png"] = sample, of_it
            mean = np.asarray(np.mean(face.samples, axis=0, dtype=np.float32))
            of_mean = facts and provenance.of_mean(facts, len(face.samples))
            pictures[folder / f"face-{number}-mean.png"] = mean, of_mean
            pictures[folder / f"face-{number}-uncertainty.png"] = uncertainty_picture(spread(face.samples)), None
    return pictures


def uncertainty_picture(deviation: np.ndarray) -> np.ndarray:
    """(H, W) standard deviation of [0, 1] values -> (H, W, 3) uint8: black 0, brightest at 0.1 and above (inferno)."""
    import cv2

    level = np.rint(np.clip(deviation / UNCERTAINTY_WHITE, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)[..., ::-1])
