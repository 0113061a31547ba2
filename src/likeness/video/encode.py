"""Frames to packets, one segment at a time, so that segments can be joined without encoding again.

Every segment has an encoder of its own with the same settings: it begins with a key frame, refers to nothing outside,
and its headers are those of all the others. The number of threads is fixed, so that the packets do not depend on the
machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from likeness.video.errors import VideoError, need_av
from likeness.video.read import Clip, Frame
from likeness.video.settings import CODECS

_THREADS = 4
_MPEG4_TICKS = 65_535  # a second, at most: the standard counts them in 16 bits
_LAYOUTS = {  # what an encoder takes beside yuv420p
    "libx264": ("yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray", "gray10le"),
    "libx265": ("yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray", "gray10le"),
    "ffv1": ("yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray", "gray10le"),
    "mpeg4": (),
}


@dataclass(frozen=True)
class Packet:
    """An encoded picture; times in units of the clip's time base."""

    data: bytes
    pts: int
    duration: int
    key: bool


def check_encoder(codec: str, clip: Clip) -> None:
    """Raises VideoError when this PyAV cannot encode ``codec``, naming what it has, or not these pictures."""
    av = need_av()
    there = []
    for name in CODECS:
        try:
            av.codec.Codec(name, "w")
            there.append(name)
        except (av.FFmpegError, ValueError):
            continue
    if codec not in there:
        raise VideoError(f"this PyAV cannot encode with {codec}; use --codec {' or '.join(there) or '(none is there)'}")
    if clip.layout != "yuv420p" and clip.layout not in _LAYOUTS[codec]:
        raise VideoError(f"{clip.path}: {codec} cannot hold its pixels ({clip.layout}); use --codec libx264")
    if codec == "mpeg4" and clip.time_base.denominator > _MPEG4_TICKS:
        raise VideoError(f"{clip.path}: {codec} cannot hold its times ({clip.time_base} s); use --codec libx264")


def set_up(context: Any, clip: Clip, codec: str, crf: int) -> None:
    """Set an encoder's context so that any two that were set by this give the same headers."""
    from av.codec.context import Flags

    context.width, context.height, context.pix_fmt = clip.width, clip.height, clip.layout
    context.time_base = clip.time_base
    if clip.rate:
        context.framerate = clip.rate
    colour = clip.colour
    context.colorspace, context.color_range = colour.matrix, colour.range_tag
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer
    if clip.aspect:
        context.sample_aspect_ratio = clip.aspect
    context.thread_count, context.thread_type = _THREADS, "FRAME"
    context.flags |= Flags.global_header | Flags.bitexact
    if codec == "libx264":
        # with mbtree the same frames gave other packets from run to run (seen with x264 of PyAV 18)
        context.options = {"crf": str(crf), "preset": "medium", "x264-params": "mbtree=0"}
    elif codec == "libx265":
        parameters = "pools=none:frame-threads=1:open-gop=0:log-level=none"
        context.options = {"crf": str(crf), "preset": "medium", "x265-params": parameters}
        context.codec_tag = "hvc1"
    elif codec == "ffv1":
        context.thread_type = "SLICE"
        context.options = {"level": "3", "slices": "4"}
    else:
        context.thread_count = 1
        context.qmin = context.qmax = max(1, min(31, crf // 3))  # 1 (best) to 31


class Encoder:
    """The encoder of one segment."""

    def __init__(self, clip: Clip, codec: str, crf: int) -> None:
        self._av = need_av()
        self._clip = clip
        self._context: Any = self._av.CodecContext.create(codec, "w")
        set_up(self._context, clip, codec, crf)
        self._durations: dict[int, int] = {}

    def add(self, frame: Frame) -> list[Packet]:
        """The packets that are ready, in the order of decoding."""
        self._durations[frame.pts] = frame.duration
        return self._packed(self._context.encode(_picture(self._av, self._clip, frame)))

    def end(self) -> list[Packet]:
        """The rest."""
        return self._packed(self._context.encode(None))

    @property
    def headers(self) -> bytes:
        """What a decoder has to know first; the same for every segment."""
        return bytes(self._context.extradata or b"")

    def _packed(self, packets: list[Any]) -> list[Packet]:
        scale = [p.time_base / self._clip.time_base if p.time_base else Fraction(1) for p in packets]
        times = [int(p.pts * s) for p, s in zip(packets, scale, strict=True)]
        return [
            Packet(bytes(p), pts, self._durations.pop(pts), bool(p.is_keyframe))
            for p, pts in zip(packets, times, strict=True)
        ]


def _picture(av: Any, clip: Clip, frame: Frame) -> Any:
    picture = av.VideoFrame(clip.width, clip.height, clip.layout)
    for plane, samples in zip(picture.planes, frame.planes, strict=True):
        stride = plane.line_size // samples.itemsize
        target = np.frombuffer(plane, samples.dtype)[: stride * plane.height].reshape(plane.height, stride)
        target[:, : plane.width] = samples
        target[:, plane.width :] = 0  # what an encoder reads beyond the edge may not be chance
    picture.pts, picture.time_base = frame.pts, clip.time_base
    colour = clip.colour
    picture.colorspace, picture.color_range = colour.matrix, colour.range_tag
    picture.color_primaries, picture.color_trc = colour.primaries, colour.transfer
    return picture
