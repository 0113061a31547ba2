"""A video out: the finished segments, and the sound and subtitles of the input as they are."""

from __future__ import annotations

import heapq
import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from likeness.video.encode import Packet, set_up
from likeness.video.errors import VideoError, need_av
from likeness.video.read import Clip, is_copied, open_video
from likeness.video.settings import SUFFIXES, VideoSettings
from likeness.video.work import Work

_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_Timed = tuple[float, int, int, Any]  # seconds, stream, count (two packets are never compared), packet


def check_output(clip: Clip, output: Path, settings: VideoSettings) -> None:
    """Whether ``output`` can hold these pictures and this sound. Raises VideoError that says what to do."""
    av = need_av()
    if output.suffix.lower() not in SUFFIXES:
        raise VideoError(f"{output}: a video ends in {', '.join(SUFFIXES)}")
    if settings.codec == "ffv1" and output.suffix.lower() != ".mkv":
        raise VideoError(f"{output}: players expect ffv1 in a .mkv file; write one")
    with open_video(clip.path) as source:
        for stream in (None, *_others(source, clip)):
            try:
                with _container(av, io.BytesIO(), output.suffix, clip) as target:
                    _video(target, clip, settings)
                    if stream is not None:
                        target.add_stream_from_template(stream)
                    target.start_encoding()
            except (av.FFmpegError, ValueError) as error:
                kind = settings.codec if stream is None else f"its {stream.type} ({stream.codec_context.name})"
                raise VideoError(f"{output}: a {output.suffix} file cannot hold {kind}; write a .mkv") from error


@dataclass(frozen=True)
class Joined:
    """Of sound, and what else is copied: the time in seconds at which it ends (0 without), and how many packets are
    damaged and were left out."""

    end: float
    lost: int


def write_video(target_path: Path, suffix: str, clip: Clip, settings: VideoSettings, work: Work, count: int) -> Joined:
    """Join the ``count`` segments of ``work`` and the input's other streams into ``target_path``, without encoding.

    Memory is constant. Raises OSError, and RuntimeError when the encoder's headers are not those of the segments, which
    would be a mistake of ours.
    """
    av = need_av()
    with open_video(clip.path) as source, _container(av, str(target_path), suffix, clip) as target:
        video = _video(target, clip, settings)
        others = {s.index: target.add_stream_from_template(s) for s in _others(source, clip)}
        for stream in _others(source, clip):
            others[stream.index].metadata.update(stream.metadata)
        target.metadata.update({k: v for k, v in source.metadata.items() if k not in ("encoder", "major_brand")})
        if hasattr(target, "set_chapters") and source.chapters():
            target.set_chapters(source.chapters())
        target.start_encoding()
        if bytes(video.codec_context.extradata or b"") != work.headers():
            raise RuntimeError("the segments were encoded in another way than the output says")
        end, lost = 0.0, 0
        depth = reordering(work.times(count))
        pictures = _pictures(av, clip, work.segments(count), depth, video)
        for seconds, _, _, packet in heapq.merge(pictures, _copied(av, source, clip, others), key=lambda row: row[:3]):
            if packet.stream is video:
                target.mux(packet)
                continue
            length = float((packet.duration or 0) * packet.time_base)
            try:
                target.mux(packet)
            except (OSError, MemoryError):
                raise
            except av.FFmpegError:  # it is no frame of its codec, or its time runs back
                lost += 1
            else:
                end = max(end, seconds + length)
    return Joined(end, lost)


def _container(av: Any, file: Any, suffix: str, clip: Clip) -> Any:
    name = _FORMATS[suffix.lower()]
    options = {}
    if name != "matroska":
        options = {"strict": "experimental"}
        if isinstance(file, str):
            options["movflags"] = "+faststart"  # the index first, so that a player can begin before all is there
        if clip.time_base.numerator == 1:
            options["video_track_timescale"] = str(clip.time_base.denominator)
    return av.open(file, "w", format=name, options=options)


def _video(target: Any, clip: Clip, settings: VideoSettings) -> Any:
    """A stream for packets that are encoded already: its own encoder is opened for the headers only."""
    stream = target.add_stream(settings.codec, rate=clip.rate or Fraction(25))
    set_up(stream.codec_context, clip, settings.codec, settings.crf)
    stream.time_base = clip.time_base
    return stream


def _others(source: Any, clip: Clip) -> list[Any]:
    return [s for s in source.streams if is_copied(s) and s.index != clip.stream]


def _pictures(av: Any, clip: Clip, segments: Iterable[list[Packet]], depth: int, stream: Any) -> Iterator[_Timed]:
    """The packets with times of decoding: the times of showing, sorted, ``depth`` packets late.

    So they grow over the joints, whatever the frame rate does there, and no picture is decoded after it is shown.
    """
    times: deque[int] = deque()
    count = 0
    for packets in segments:
        shown = sorted(packet.pts for packet in packets)
        if not count:
            step = max(1, packets[0].duration)
            times.extend(shown[0] - step * k for k in range(depth, 0, -1))
        times.extend(shown)
        for packet in packets:
            count += 1
            ready = av.Packet(packet.data)
            ready.time_base = clip.time_base
            ready.pts, ready.dts, ready.duration = packet.pts, times.popleft(), packet.duration
            ready.is_keyframe = packet.key
            ready.stream = stream
            yield float(ready.dts * clip.time_base), 0, count, ready


def reordering(segments: Iterable[list[int]]) -> int:
    """How many packets a picture is decoded before it is shown, at most. Each segment: times of showing, in the order
    of decoding."""
    depth = 0
    for shown in segments:
        rank = {pts: k for k, pts in enumerate(sorted(shown))}
        depth = max([depth, *(k - rank[pts] for k, pts in enumerate(shown))])
    return depth


def _copied(av: Any, source: Any, clip: Clip, others: dict[int, Any]) -> Iterator[_Timed]:
    count = 0
    if not others:
        return
    packets = source.demux([source.streams[index] for index in others])
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError):  # the end of a damaged file; `read` reports it
            return
        if packet is None:
            return
        if packet.dts is None or not packet.size:
            continue
        count += 1
        seconds = float(packet.dts * packet.time_base)
        packet.stream = others[packet.stream.index]
        yield seconds, 1, count, packet
