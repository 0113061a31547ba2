"""Clips that the tests of video make: a portrait panned and zoomed, with a tone, in any frame rate."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import scenes
from likeness.faces import FFHQ_TEMPLATE, Face
from likeness.video.track import LOOK

av = pytest.importorskip("av", reason="needs PyAV: the extra video")

NTSC = Fraction(30000, 1001)


def moved(index: int, count: int, size: tuple[int, int] = (288, 256)) -> np.ndarray:
    """Frame ``index`` of ``count``: the portrait in (width, height), slowly panned and zoomed."""
    width, height = size
    t = index / max(1, count)
    factor = (1.0 + 0.08 * math.sin(2 * math.pi * t)) * height / 256
    x = width / 2 - 128 * factor + 12 * math.sin(2 * math.pi * t + 1)
    y = height / 2 - 128 * factor + 5 * math.sin(4 * math.pi * t)
    transform = np.array([[factor, 0, x], [0, factor, y]])
    return cv2.warpAffine(
        scenes.portrait(256), transform, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )


def degraded(index: int, count: int, blur: float = 2.0, noise: float = 4.0) -> np.ndarray:
    """A frame of 480x360 as ``moved``, blurred and noisy: the detector loses the face at times."""
    soft = cv2.GaussianBlur(moved(index, count, (480, 360)).astype(np.float32), (0, 0), blur)
    return np.rint((soft + np.random.default_rng(index).normal(0, noise, soft.shape)).clip(0, 255)).astype(np.uint8)


def times(count: int, variable: bool = False) -> list[int]:
    """In 1/30000 s: 29.97 a second, or lengths between 0.5 and 3 of that."""
    lengths = [1001 if not variable else 500 + (k * 7919) % 2503 for k in range(count)]
    return [sum(lengths[:k]) for k in range(count)]


def write(
    path: Path,
    frames: Sequence[np.ndarray] | Callable[[int], np.ndarray],
    pts: Sequence[int],
    *,
    sound: bool = True,
    rotation: int = 0,
    layout: str = "yuv420p",
    codec: str = "libx264",
    tags: tuple[int, int, int, int] = (1, 1, 1, 1),
    crf: int = 10,
    container: dict[str, str] | None = None,
) -> Path:
    """A video of these RGB frames at these times (in 1/30000 s). tags: range, matrix, primaries, transfer."""
    frame_at = frames if callable(frames) else frames.__getitem__
    height, width = frame_at(0).shape[:2]
    with av.open(str(path), "w", options={"video_track_timescale": "30000"} if container is None else container) as out:
        video = out.add_stream(codec, rate=NTSC)
        context = video.codec_context
        context.width, context.height, context.pix_fmt, context.time_base = width, height, layout, Fraction(1, 30000)
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = tags
        context.options = {"crf": str(crf), "preset": "veryfast"} if codec == "libx264" else {}
        video.time_base = Fraction(1, 30000)
        if rotation:
            video.set_display_rotation(rotation)
        seconds = (pts[-1] + 1001) / 30000
        audio = out.add_stream("aac", rate=16000, layout="mono") if sound else None
        for index, at in enumerate(pts):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_at(index)), "rgb24")
            picture = picture.reformat(format=layout, dst_colorspace="ITU709", dst_color_range="MPEG")
            picture.pts, picture.time_base = at, Fraction(1, 30000)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        if audio is not None:
            _tone(out, audio, seconds)
    return path


def _tone(out: Any, audio: Any, seconds: float) -> None:
    for start in range(0, int(seconds * 16000), 1024):
        wave = np.sin(2 * np.pi * 440 * np.arange(start, start + 1024) / 16000).astype(np.float32)[None] * 0.3
        sound = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
        sound.sample_rate, sound.pts, sound.time_base = 16000, start, Fraction(1, 16000)
        out.mux(audio.encode(sound))
    out.mux(audio.encode(None))


def decoded(path: Path) -> list[tuple[int, np.ndarray]]:
    """(pts, Y, U and V in one array) of every frame."""
    with av.open(str(path)) as container:
        return [(frame.pts, frame.to_ndarray()) for frame in container.decode(video=0)]


def sound_packets(path: Path) -> list[tuple[int, bytes]]:
    """(pts, bytes) of every packet of the sound."""
    with av.open(str(path)) as container:
        return [(p.pts, bytes(p)) for p in container.demux(audio=0) if p.size]


def told(path: Path) -> dict[str, Any]:
    """What a file says of its video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        return {
            "time_base": stream.time_base,
            "seconds": float(stream.duration * stream.time_base) if stream.duration else container.duration / 1e6,
            "size": (context.width, context.height),
            "tags": tuple(
                int(v) for v in (context.color_range, context.colorspace, context.color_primaries, context.color_trc)
            ),
            "layout": context.pix_fmt,
            "codec": context.name,
            "aspect": stream.sample_aspect_ratio,
        }


class Middle:
    """A detector that costs nothing: there is a face in the middle of every picture of these clips."""

    name = "middle"

    def detect(self, pixels: np.ndarray) -> list[Face]:
        height, width = pixels.shape[:2]
        side = width / LOOK if height == width else 150.0
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        points = (FFHQ_TEMPLATE - 255.5) * side / 512 + middle
        corners = *(middle - side / 4), *(middle + side / 4)
        return [Face.from_landmarks(corners, points, 1.0, FFHQ_TEMPLATE)]


def start(source: Path, output: Path, segment: int = 4, detector: str = "dlib") -> subprocess.Popen[bytes]:
    """Restore with the method "pattern" in segments of so many frames, as a real process that runs on; the detector
    "middle" costs nothing."""
    command = [sys.executable, str(Path(__file__)), str(source), str(output), str(segment), detector]
    path = os.pathsep.join([str(scenes.TESTS), os.environ.get("PYTHONPATH", "")])
    environment = {**scenes.environment(), "PYTHONPATH": path}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


if __name__ == "__main__":
    from likeness import parts
    from likeness.video import VideoSettings
    from likeness.video.run import restore_video

    if sys.argv[4] == "middle":
        parts.find_detector = lambda *_: Middle()
    how = VideoSettings(segment=int(sys.argv[3]))
    restore_video(Path(sys.argv[1]), Path(sys.argv[2]), video=how, restorer=scenes.Pattern(0.2))
