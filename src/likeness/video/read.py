"""A video in: upright frames with their exact times, read with PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from likeness.photo.errors import one_line
from likeness.video.colour import FULL, UNSPECIFIED, Colour, to_rgb
from likeness.video.errors import BrokenVideoError, VideoError, need_av

MAX_PIXELS = 50_000_000  # of one frame: 8K video has 33 million
_KEPT = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray", "gray10le")
_SAME_PLANES = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p"}
_REPACKED = {"nv12": "yuv420p", "nv21": "yuv420p", "nv16": "yuv422p", "p010le": "yuv420p10le", "yuyv422": "yuv422p"}
_SHIFTS = {"yuv420": (1, 1), "yuv422": (1, 0), "yuv444": (0, 0), "gray": (0, 0), "gray10": (0, 0)}


@dataclass(frozen=True)
class Clip:
    """What is known of a video before its frames are read.

    width, height: upright. layout: the pixel format of our planes. source_layout: what has to be asked of the
    decoder's frame to have them. turn: (transpose, mirror x, mirror y) that makes a decoded picture upright. rate:
    the mean one, None when unknown. frames: how many the file says there are, or an estimate; 0 when unknown.
    """

    path: Path
    stream: int
    width: int
    height: int
    time_base: Fraction
    rate: Fraction | None
    frames: int
    counted: bool
    codec: str
    layout: str
    source_layout: str
    colour: Colour
    turn: tuple[bool, bool, bool]
    aspect: Fraction | None
    notes: tuple[str, ...] = ()


@dataclass
class Frame:
    """One frame: planes (H, W) upright, and its time and length in units of the clip's time base."""

    index: int
    pts: int
    duration: int
    planes: list[np.ndarray]

    def rgb(self, colour: Colour) -> np.ndarray:
        """(H, W, 3) uint8 (uint16 for 10 bits)."""
        return to_rgb(self.planes, colour)


@dataclass
class Health:
    """What came to light while reading: packets that are damaged, and how much was there."""

    packets: int = 0
    damaged: int = 0
    retimed: int = 0
    problems: list[str] = field(default_factory=list)


def open_video(path: Path) -> Any:
    """The opened container. Raises VideoError on one line."""
    av = need_av()
    if not path.exists():
        raise VideoError(f"{path}: there is no such file; check the name")
    if path.is_dir():
        raise VideoError(f"{path}: this is a folder, a video is needed")
    try:
        return av.open(str(path))
    except PermissionError as error:
        raise VideoError(f"{path}: permission denied; check its rights") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        empty = "it is empty" if path.stat().st_size == 0 else f"it cannot be read as a video ({_said(error)})"
        raise BrokenVideoError(f"{path}: {empty}; it may be damaged or cut short") from error


def probe(path: Path) -> Clip:
    """Look at the first frame. Raises VideoError for what is not there, BrokenVideoError for what has no pictures."""
    av = need_av()
    with open_video(path) as container:
        pictures = [s for s in container.streams.video if not _is_cover(av, s)]
        if not pictures:
            what = "only sound" if container.streams.audio else "no video"
            raise BrokenVideoError(f"{path}: there is {what} in it; give a file with moving pictures")
        stream = pictures[0]
        context = stream.codec_context
        if context is None:
            raise BrokenVideoError(f"{path}: this PyAV cannot decode its pictures")
        if context.width * context.height > MAX_PIXELS:
            size = f"{context.width}x{context.height}"
            raise VideoError(f"{path}: frames of {size} pixels are more than the limit of {MAX_PIXELS:,}")
        first = _first(av, container, stream, path)
        dropped = [s.type for s in container.streams if s.type != "video" and not is_copied(s)]
        dropped += ["video"] * (len(container.streams.video) - 1)
        notes = [f"a stream of {kind} was left out" for kind in dropped]
        frames, counted = _count(container, stream)
        return _clip(path, stream, first, frames, counted, notes)


def is_copied(stream: Any) -> bool:
    """Whether a stream goes into the output as it is: sound and subtitles, of a codec that PyAV knows."""
    return stream.type in ("audio", "subtitle") and stream.codec_context is not None


def _is_cover(av: Any, stream: Any) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _first(av: Any, container: Any, stream: Any, path: Path) -> Any:
    try:
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    return frame
            except av.FFmpegError:
                continue
    except (av.FFmpegError, OSError) as error:
        raise BrokenVideoError(f"{path}: no frame of it can be read ({_said(error)})") from error
    raise BrokenVideoError(f"{path}: there is no frame in it that can be read; it may be damaged or cut short")


def _count(container: Any, stream: Any) -> tuple[int, bool]:
    if stream.frames:
        return int(stream.frames), True
    rate = stream.average_rate
    seconds = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
    return (round(seconds * float(rate)) if rate else 0), False


def _clip(path: Path, stream: Any, first: Any, frames: int, counted: bool, notes: list[str]) -> Clip:
    name = first.format.name
    turn = _turn(first)
    source = name if name in _KEPT or name in _SAME_PLANES else _REPACKED.get(name, "")
    layout = _SAME_PLANES.get(source, source)
    rgb = not layout
    if rgb:
        source = layout = "yuv444p" if first.width % 2 or first.height % 2 else "yuv420p"
        notes.append(f"its pixels are {name}; they are written as {layout}")
    shift = _SHIFTS[layout.removesuffix("10le").removesuffix("p")]
    odd = (shift[0] and first.width % 2) or (shift[1] and first.height % 2)
    if (turn[0] and shift[0] != shift[1]) or odd:
        source = layout = "yuv444p10le" if layout.endswith("10le") else "yuv444p"
        shift = (0, 0)
        notes.append(f"its chroma cannot be kept as it is; it is written as {layout}")
    if first.interlaced_frame:
        notes.append("it is interlaced; its frames are restored as they are")
    full = not rgb and (int(first.color_range) == FULL or name in _SAME_PLANES)
    tag = (2 if full else 1) if rgb or name in _SAME_PLANES else int(first.color_range)
    matrix = (1 if first.height >= 720 else 6) if rgb else int(first.colorspace)
    colour = Colour(
        matrix if matrix else UNSPECIFIED,
        full,
        int(first.color_primaries),
        int(first.color_trc),
        tag,
        10 if layout.endswith("10le") else 8,
        shift,
        layout.startswith("gray"),
    )
    width, height = (first.height, first.width) if turn[0] else (first.width, first.height)
    aspect = stream.sample_aspect_ratio
    if aspect is not None and aspect > 0 and turn[0]:
        aspect = 1 / aspect
    return Clip(
        path,
        stream.index,
        width,
        height,
        Fraction(stream.time_base),
        stream.average_rate or stream.guessed_rate,
        frames,
        counted,
        stream.codec_context.name,
        layout,
        source,
        colour,
        turn,
        aspect if aspect else None,
        tuple(notes),
    )


def _turn(frame: Any) -> tuple[bool, bool, bool]:
    """(transpose, mirror x, mirror y) of a frame's display matrix; the nearest quarter turn.

    The matrix takes a pixel (p, q) to (a p + c q, b p + d q); it has a, b, u, c, d, v, x, y, w in this order (the
    transformation matrix of ISO/IEC 14496-12, 6.2.2).
    """
    try:
        data = frame.side_data["DISPLAYMATRIX"]
    except KeyError:
        return False, False, False
    a, b, _, c, d = np.frombuffer(memoryview(data), np.uint8).view(np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0


def upright(plane: np.ndarray, turn: tuple[bool, bool, bool]) -> np.ndarray:
    """A copy of (H, W), turned."""
    transpose, mirror_x, mirror_y = turn
    plane = plane.T if transpose else plane
    return np.array(plane[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1], order="C")


def read_frames(clip: Clip, health: Health, start: int = 0) -> Iterator[Frame]:
    """All frames from number ``start`` on, in the order of their times.

    Those before are decoded too: a frame is found by counting, which is exact for every file, and decoding is cheap
    beside restoring. Times are the file's own; where one is missing or does not grow, it is mended and counted in
    ``health``. Raises BrokenVideoError when the pictures change their size.
    """
    held: Frame | None = None
    for frame in _decoded(clip, health):
        if held is not None:
            held.duration = frame.pts - held.pts
            if held.index >= start:
                yield held
        held = frame
    if held is not None and held.index >= start:
        yield held


def _decoded(clip: Clip, health: Health) -> Iterator[Frame]:
    step = max(1, round(1 / (clip.rate * clip.time_base))) if clip.rate else 1
    last: int | None = None
    for index, picture in enumerate(_pictures(clip, health)):
        pts = picture.pts
        if pts is None or (last is not None and pts <= last):
            pts = 0 if last is None else last + step
            health.retimed += 1
        size = (picture.height, picture.width) if clip.turn[0] else (picture.width, picture.height)
        if size != (clip.width, clip.height):
            raise BrokenVideoError(
                f"{clip.path}: its pictures change from {clip.width}x{clip.height} to {size[0]}x{size[1]} at frame "
                f"{index}; cut it there first"
            )
        yield Frame(index, pts, picture.duration or step, _planes(picture, clip))
        last = pts


def _pictures(clip: Clip, health: Health) -> Iterator[Any]:
    av = need_av()
    with open_video(clip.path) as container:
        stream = container.streams[clip.stream]
        stream.thread_type = "AUTO"
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError):
                health.damaged += 1
                break
            if packet is None:
                break
            health.packets += bool(packet.size)
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                health.damaged += 1
                continue
            for picture in pictures:
                health.damaged += bool(picture.is_corrupt)
                yield picture
    if clip.counted and health.packets < clip.frames:
        health.problems.append(f"it is cut short: {health.packets} of {clip.frames} frames are there")
    if health.damaged:
        health.problems.append(f"{health.damaged} of its pictures are damaged")


def _planes(picture: Any, clip: Clip) -> list[np.ndarray]:
    if picture.format.name not in (clip.source_layout, clip.layout):
        options = {}
        if picture.format.name not in _REPACKED and not picture.format.name.startswith("yuv"):
            matrix = "ITU709" if clip.colour.matrix == 1 else "ITU601"
            options = {"dst_colorspace": matrix, "dst_color_range": "MPEG"}
        picture = picture.reformat(format=clip.source_layout, **options)
    planes = []
    for plane in picture.planes[: 1 if clip.colour.grey else 3]:
        samples = np.frombuffer(plane, np.uint8 if clip.colour.bits == 8 else np.uint16)
        stride = plane.line_size // samples.itemsize
        planes.append(
            upright(samples[: stride * plane.height].reshape(plane.height, stride)[:, : plane.width], clip.turn)
        )
    return planes


def _said(error: BaseException) -> str:
    return one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__)
