"""What flickers in a restored video, on a made clip: a photograph panned, zoomed and turned, blurred and noisy.

    python benchmarks/video.py [--frames 150] [--method M] [-o DIR]

Prints a table of the flicker (mean change from frame to frame in one and the same alignment, in grey levels of 255,
in the files as written) of the degraded clip, the true one, the restored one and a control (every frame for itself:
fresh noise, no smoothing, no flow, no fading); and a table of --smooth against sharpness. Needs PyAV and scikit-image.
Deterministic but for the method's backend.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data

from likeness.faces import crop_face, paste_face
from likeness.faces.geometry import apply_transform, compose, invert_transform
from likeness.pipeline import Session, Settings
from likeness.pipeline.work import FaceWork
from likeness.video import VideoSettings
from likeness.video.flicker import difference
from likeness.video.plan import Course, make_plan
from likeness.video.read import Health, probe, read_frames
from likeness.video.restore import MEASURED
from likeness.video.run import restore_video
from likeness.video.scan import scan_video
from likeness.video.smooth import blend, fitted, gate

SIZE = (480, 360)
BLUR, NOISE, CRF = 2.7, 5.0, 23  # dlib then loses the face in a sixth of the frames
WAYS = [(share, fit) for fit in (True, False) for share in (0.0, 0.3, 0.5, 0.7, 0.85)]  # --smooth, `smooth.fitted`


def photograph() -> np.ndarray:
    """(512, 512, 3) uint8."""
    return np.asarray(skimage.data.astronaut())  # type: ignore[no-untyped-call]


def motion(index: int, count: int) -> np.ndarray:
    """(2, 3): where the photograph is in this frame."""
    width, height = SIZE
    t = index / count
    factor, turn = 0.85 + 0.12 * math.sin(2 * math.pi * t), 0.06 * math.sin(4 * math.pi * t + 0.5)
    c, s = factor * math.cos(turn), factor * math.sin(turn)
    x, y = width / 2 + 45 * math.sin(2 * math.pi * t + 1), height / 2 + 18 * math.sin(4 * math.pi * t)
    return np.array([[c, -s, x - c * 224 + s * 110], [s, c, y - s * 224 - c * 110]])


def make(path: Path, count: int, degraded: bool) -> Path:
    """The clip; the true one without loss."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264" if degraded else "ffv1", rate=Fraction(30000, 1001))
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        video.options = {"crf": str(CRF)} if degraded else {}
        for k in range(count):
            picture = cv2.warpAffine(
                photograph(), motion(k, count), SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
            )
            if degraded:
                soft = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), BLUR)
                noise = np.random.default_rng(k).normal(0, NOISE, soft.shape)
                picture = np.rint((soft + noise).clip(0, 255))
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture.astype(np.uint8), "rgb24")))
        out.mux(video.encode(None))
    return path


def pictures(path: Path) -> Iterator[np.ndarray]:
    clip = probe(path)
    for frame in read_frames(clip, Health()):
        yield frame.rgb(clip.colour)


class Meter:
    """Flicker in the frames of one course."""

    def __init__(self, course: Course, mask: np.ndarray) -> None:
        self.course = course
        self.mask = cv2.resize(mask, (MEASURED, MEASURED), interpolation=cv2.INTER_AREA)
        self.changes: list[float] = []
        self._last: np.ndarray | None = None

    def add(self, pixels: np.ndarray, index: int) -> None:
        crop = crop_face(pixels, self.course.face(index).transform, MEASURED)
        if self._last is not None:
            self.changes.append(255 * difference(crop, self._last, self.mask))
        self._last = crop


def flicker(path: Path, course: Course, mask: np.ndarray) -> tuple[float, float]:
    """Mean and the largest change of a pair of frames."""
    meter = Meter(course, mask)
    for index, pixels in enumerate(pictures(path)):
        if course.first <= index <= course.last:
            meter.add(pixels, index)
    return float(np.mean(meter.changes)), float(np.max(meter.changes))


def trembling(course: Course, count: int) -> float:
    """How far the alignment moves over the face from frame to frame, in pixels of the video (root mean square)."""
    corners = np.array([[150.0, 200.0], [362.0, 200.0], [256.0, 400.0]])
    places = []
    for k in range(course.first, course.last + 1):
        to_photo = compose(invert_transform(motion(k, count)), invert_transform(course.face(k).transform))
        places.append(apply_transform(to_photo, corners))
    scale = float(np.mean([math.hypot(*motion(k, count)[:, 0]) for k in range(count)]))
    return float(np.sqrt((np.diff(places, axis=0) ** 2).sum(axis=2).mean())) * scale


def sharpness(crop: np.ndarray) -> float:
    """Mean absolute gradient of the face, grey levels of 255 for a pixel of the 512 frame."""
    face = crop[150:450, 120:390] * 255
    return float(np.mean([np.abs(np.diff(face, axis=axis)).mean() for axis in (0, 1)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--method")
    parser.add_argument("-o", "--output", type=Path, help="keep the clips and a strip before and after here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = args.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        run(folder, args.frames, Settings(method=args.method))


def run(folder: Path, count: int, settings: Settings) -> None:
    source, true = make(folder / "in.mp4", count, True), make(folder / "true.mkv", count, False)
    session = Session(settings)
    assert session.detector is not None
    name, backend = session.restorer.card.name, getattr(session.restorer, "backend", "torch")
    seen = scan_video(probe(source), session.detector, VideoSettings())
    courses = make_plan(seen.tracks, seen.cuts, seen.frames, settings, VideoSettings())
    course = max(courses, key=lambda c: len(c.values))
    rough = make_plan(seen.tracks, seen.cuts, seen.frames, settings, VideoSettings(steady=False))[courses.index(course)]
    mask = session.mask.mask(np.zeros((512, 512, 3), np.float32))
    found, followed = int(course.found.sum()), len(course.values)
    print(f"{name} by {backend}; {count} frames of {SIZE[0]}x{SIZE[1]}; {len(courses)} track(s)")
    print(f"the face was detected in {found} frames and is followed in {followed}")
    rms = trembling(rough, count), trembling(course, count)
    print(f"its alignment trembles by {rms[0]:.3f} pixels as detected, by {rms[1]:.3f} steadied\n", flush=True)
    how = VideoSettings(codec="ffv1")
    control = VideoSettings(codec="ffv1", noise="frame", steady=False, smooth=0.0, detect_every=1, hold=0.0, fade=0.0)
    shipped, frame_by_frame = folder / "restored.mkv", folder / "control.mkv"
    for target, video in ((shipped, how), (frame_by_frame, control)):
        preview = folder / "strip.png" if target is shipped else None
        restore_video(source, target, settings, video, overwrite=True, preview=preview)
    print("| | flicker | largest | times the input's |\n|---|---|---|---|")
    base = flicker(source, course, mask)[0]
    for label, path in (("input", source), ("true clip", true), ("restored", shipped), ("control", frame_by_frame)):
        mean, largest = flicker(path, course, mask)
        print(f"| {label} | {mean:.2f} | {largest:.2f} | {mean / base:.2f} |", flush=True)
    ways(source, session, course, mask, base)


def ways(source: Path, session: Session, course: Course, mask: np.ndarray, base: float) -> None:
    """The table of --smooth: every crop is restored once, and blended, fitted and pasted in each way."""
    rows = [*WAYS, (1.0, True), (1.0, False)]  # the last two: one restored face in all frames
    meters = {way: Meter(course, mask) for way in rows}
    sharp: dict[tuple[float, bool], list[float]] = {way: [] for way in rows}
    blended: dict[float, np.ndarray] = {}
    before: np.ndarray | None = None
    for index, pixels in enumerate(pictures(source)):
        if not course.first <= index <= course.last:
            continue
        face = course.face(index)
        work = FaceWork(face, crop_face(pixels, face.transform))
        session.restore([work])
        weight = np.zeros((512, 512, 1), np.float32) if before is None else gate(work.crop, before)
        before = work.crop
        blended.setdefault(1.0, work.samples[0])
        for share in {share for share, _ in WAYS}:
            blended[share] = blend(work.samples[0], blended.get(share, work.samples[0]), weight, share)
        for (share, fit), meter in meters.items():
            after = pixels.copy()
            ready = fitted(blended[share], face.scale) if fit else blended[share]
            paste_face(after, work.crop, ready, face.transform, mask)
            meter.add(after, index)
            sharp[share, fit].append(sharpness(crop_face(after, face.transform)))
    print("\n| --smooth | fitted | times the input's flicker | sharpness |\n|---|---|---|---|")
    for share, fit in rows:
        label = share if share < 1 else "one restored face in all frames"
        mean = float(np.mean(meters[share, fit].changes)) / base
        print(f"| {label} | {'yes' if fit else 'no'} | {mean:.2f} | {np.mean(sharp[share, fit]):.2f} |")


if __name__ == "__main__":
    main()
