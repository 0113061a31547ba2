"""The first pass over a video: where its scenes end, and which faces are where. It can be interrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.faces import Detector
from likeness.video import cuts
from likeness.video.read import Clip, Frame, Health, read_frames
from likeness.video.settings import VideoSettings
from likeness.video.track import BACK, Track, Tracker
from likeness.video.work import Work

SAVE = 500  # frames between two points from which an interrupted scan goes on


@dataclass
class Scan:
    """What was found: the tracks, the first frames of new scenes, and how many frames there are."""

    tracks: list[Track]
    cuts: list[int]
    frames: int


def scan_video(
    clip: Clip,
    detector: Detector,
    video: VideoSettings,
    work: Work | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Scan:
    """Look at all frames, in constant memory but for the tracks (half a kilobyte for each face and frame).

    What is found is kept in ``work``; whole or in part it is taken from there. The same, however often it was
    interrupted. Raises BrokenVideoError.
    """
    kept = work.scan() if work else None
    if kept and kept["whole"]:
        return Scan([Track.restored(track) for track in kept["tracks"]], kept["cuts"], kept["frames"])
    done: int = kept["frames"] if kept else 0
    found: list[int] = kept["cuts"] if kept else []
    tracker = Tracker(detector, video.detect_every, video.hold, kept["tracker"] if kept else None)
    before: np.ndarray | None = None
    for frame in read_frames(clip, Health(), max(0, done - BACK)):
        pixels, seconds = _eight_bit(frame, clip), float(frame.pts * clip.time_base)
        small = cuts.thumbnail(pixels)
        if frame.index < done:  # seen before the interruption
            if not found or frame.index >= found[-1]:
                tracker.remember(pixels, frame.index, seconds)
        else:
            if before is not None and cuts.is_cut(before, small):
                found.append(frame.index)
                tracker.cut()
            tracker.follow(pixels, frame.index, seconds)
            done = frame.index + 1
            progress(done, max(clip.frames, done) if clip.frames else 0)
            if work and done % SAVE == 0:
                work.save_scan({"whole": False, "frames": done, "cuts": found, "tracker": tracker.state})
        before = small
    tracks = tracker.end()
    if work:
        kept = {"whole": True, "frames": done, "cuts": found, "tracks": [track.as_dict() for track in tracks]}
        work.save_scan(kept)
    return Scan(tracks, found, done)


def _eight_bit(frame: Frame, clip: Clip) -> np.ndarray:
    pixels: Any = frame.rgb(clip.colour)
    return np.asarray((pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels)
