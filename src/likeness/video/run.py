"""A video in, a video out; the way behind ``likeness video``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from likeness.memory import sha256
from likeness.methods import METHODS, Restorer, card
from likeness.methods.resolve import resolve
from likeness.photo import atomic_path, atomic_write_text
from likeness.pipeline import Session, Settings
from likeness.video import preview as strips
from likeness.video.encode import Encoder, Packet, check_encoder
from likeness.video.errors import BrokenVideoError, VideoError
from likeness.video.plan import make_plan
from likeness.video.read import Clip, Health, open_video, probe, read_frames
from likeness.video.report import describe, failures, key_of, make_report
from likeness.video.restore import Restoration
from likeness.video.scan import Scan, scan_video
from likeness.video.settings import VideoSettings
from likeness.video.work import Work
from likeness.video.write import check_output, write_video

_NEEDS = {"landmarks": "landmarks of every face", "references": "photographs of the person", "hole": "a mask to fill"}

Progress = Callable[[int, int], None]


def report_path(output: Path) -> Path:
    """Where the report of a video is: ``clip.mp4`` has ``clip.report.json``."""
    return output.with_suffix(".report.json")


def restore_video(
    source: Path,
    output: Path,
    settings: Settings | None = None,
    video: VideoSettings | None = None,
    *,
    preview: Path | None = None,
    overwrite: bool = False,
    restorer: Restorer | None = None,
    progress: Progress = lambda done, total: None,
    scanning: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Restore the faces of ``source`` into ``output``; returns the report, which lies beside it.

    The report holds one record per track: frames restored, kept, skipped and failed with the reasons, identity
    distance to the input, flicker of input and output. The pictures are upright (a rotation is applied, not noted),
    with the input's times, colour tags and pixel aspect; sound and subtitles are copied. Memory does not grow with the
    length. After a kill the same call goes on behind the last finished segment, to the same result; a result that is
    there and intact is not made again. The video is read twice: first faces are looked for (``scanning``), then
    restored (``progress``); both are called with (frames done, all frames), 0 for all when that is unknown.

    Raises VideoError (wrong use), BrokenVideoError (a file without pictures that can be read), and what ``Session``
    raises.
    """
    settings, video = settings or Settings(), video or VideoSettings()
    if output.exists() and source.exists() and output.samefile(source):
        raise VideoError(f"{output} would be overwritten by its own restoration: choose another name")
    if output.is_dir():
        raise VideoError(f"{output} is a folder: name the video to write, such as {output / 'restored.mp4'}")
    if settings.samples > 1 or settings.scale > 1:
        raise VideoError("video takes one sample and the size of the input")
    check_method(settings, restorer)
    clip = probe(source)
    check_encoder(video.codec, clip)
    check_output(clip, output, video)
    session = Session(settings, restorer)
    described = describe(session, video)
    digest = sha256(source)
    key = key_of(described, digest)
    work = Work(output, key)
    done = _done(output, key, work, overwrite)
    if done is not None:
        if preview is not None:
            strips.write_preview(source, output, done["moments"], preview)
        return done
    work.begin()
    try:
        with FileLock(work.folder / "lock", timeout=0):
            report = _make(clip, output, session, video, work, (described, key, digest), (scanning, progress))
            if preview is not None:
                strips.write_preview(source, output, report["moments"], preview)
            atomic_write_text(report_path(output), json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    except Timeout as error:
        raise VideoError(f"{output} is being made by another process: wait for it") from error
    work.remove()
    return report


def _done(output: Path, key: str, work: Work, overwrite: bool) -> dict[str, Any] | None:
    """The report, if all is done in this way and intact. Raises VideoError when ``output`` is not ours to replace."""
    found = report_path(output)
    report: dict[str, Any] = {}
    if found.exists():
        try:
            read = json.loads(found.read_text(encoding="utf-8"))
            report = read if isinstance(read, dict) and "output_sha256" in read else {}
        except (OSError, ValueError):
            report = {}
        if not report and not overwrite:
            raise VideoError(f"{found} is there already and is not ours: use --overwrite to replace it")
    if not output.exists() or overwrite:
        return None
    digest = sha256(output)
    if digest not in (report.get("output_sha256"), work.intended()):
        raise VideoError(f"{output} is there already and is not ours: use --overwrite to replace it")
    whole = report.get("key") == key and report.get("output_sha256") == digest and not failures(report)
    return report if whole else None


def _make(
    clip: Clip,
    output: Path,
    session: Session,
    video: VideoSettings,
    work: Work,
    names: tuple[dict[str, Any], str, str],
    progresses: tuple[Progress, Progress],
) -> dict[str, Any]:
    described, key, digest = names
    scanning, progress = progresses
    seen = _scan(clip, session, video, work, scanning)
    if not seen.frames:
        raise BrokenVideoError(f"{clip.path}: there is no frame in it that can be read; it may be damaged or cut short")
    courses = make_plan(seen.tracks, seen.cuts, seen.frames, session.settings, video)
    restoration = Restoration(session, clip, video, courses)
    restoration.wanted = strips.moments(clip.frames)
    segment, state, arrays = work.finished()
    frames, end = 0, 0
    if segment:
        frames, end = state["frames"], state["end"]
        restoration.load(state["restoration"], arrays)
    health = Health()
    reader = read_frames(clip, health, frames)
    progress(frames, seen.frames)
    while True:
        encoder = Encoder(clip, video.codec, video.crf)
        packets: list[Packet] = []
        count = 0
        while count < video.segment:
            some = list(islice(reader, min(session.batch, video.segment - count)))
            if not some:
                break
            with _plainly(clip, f"restoring frame {some[0].index}", "what is done"):
                restoration.restore(some)
            for frame in some:
                packets += encoder.add(frame)
            count += len(some)
            end = some[-1].pts + some[-1].duration
            progress(frames + count, seen.frames)
        if not count:
            break
        packets += encoder.end()
        frames += count
        saved, arrays = restoration.save()
        work.save(segment, packets, encoder.headers, {"frames": frames, "end": end, "restoration": saved}, arrays)
        segment += 1
        if count < video.segment:
            break
    whole = work.folder / f"joined{output.suffix}"
    with atomic_path(whole) as partial:
        copied = write_video(partial, output.suffix, clip, video, work, segment)
    written = sha256(whole)
    work.intend(written)
    whole.replace(output)
    problems = [*health.problems, *_cut_short(clip, float(end * clip.time_base), copied.end)]
    if copied.lost:
        problems.append(f"{copied.lost} packets of its sound or subtitles are damaged and were left out")
    notes = [*clip.notes]
    if health.retimed:
        notes.append(f"the times of {health.retimed} frames did not grow and were mended")
    names_, digests = (clip.path, output), (key, digest, written)
    return make_report(described, names_, digests, clip, restoration, seen, problems, notes)


def check_method(settings: Settings, restorer: Restorer | None = None) -> None:
    """Raises VideoError for what needs more than a video gives: aligned pictures, landmarks, references, holes. Before
    any weights are asked for, where the method is named."""
    if settings.aligned:
        raise VideoError("--aligned is for pictures, not for video")
    name = settings.method if settings.method in METHODS else None
    if restorer is not None:
        its = restorer.card
    else:
        its = card(name or resolve(settings.method, settings.weights)[0])
    if its.needs:
        needs = " and ".join(_NEEDS[need] for need in its.needs)
        raise VideoError(f"{its.name} needs {needs}, which a video does not come with; choose another --method")


def _scan(clip: Clip, session: Session, video: VideoSettings, work: Work, progress: Progress) -> Scan:
    assert session.detector is not None
    with _plainly(clip, "looking for faces", "what was found"):
        return scan_video(clip, session.detector, video, work, progress)


@contextmanager
def _plainly(clip: Clip, doing: str, kept: str) -> Iterator[None]:
    import cv2

    try:
        yield
    except (RuntimeError, MemoryError, cv2.error) as error:  # of dlib, numpy and OpenCV
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise VideoError(f"{clip.path}: {doing} failed ({said}); {kept} is kept for the next run") from error


def _cut_short(clip: Clip, end: float, sound_end: float) -> list[str]:
    """Whether the file says it is longer than all that is in it (a file without a count of its frames)."""
    if clip.counted:
        return []
    with open_video(clip.path) as container:
        start = (container.start_time or 0) / 1e6
        said = (container.duration or 0) / 1e6
    there = max(end, sound_end) - start
    return [f"it is cut short: {there:.1f} of {said:.1f} seconds are there"] if there < said - 1.0 else []
