"""What to do with a video, validated where it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
CODECS = ("libx264", "libx265", "ffv1", "mpeg4")


@dataclass(frozen=True)
class VideoSettings:
    """Beside ``pipeline.Settings``.

    smooth: share of the frame before in the restored crop where nothing moves, in [0, 1). detect_every: the whole
    picture is searched every so many frames, between them only the surroundings of known faces. hold: seconds for
    which a face that is not found is followed yet, and back to which a new one is. steady: smooth the alignment. fade:
    seconds in which a restoration comes and goes within a scene. noise: the same for a track, or another for every
    frame (only to measure what that does). codec, crf: of the output; 0 is the best. segment: frames between two
    points from which an interrupted run can go on. Raises ValueError.
    """

    smooth: float = 0.7
    detect_every: int = 5
    hold: float = 1.0
    steady: bool = True
    fade: float = 0.33
    noise: Literal["track", "frame"] = "track"
    codec: str = "libx264"
    crf: int = 16
    segment: int = 120

    def __post_init__(self) -> None:
        for name, good, want in (
            ("smooth", 0.0 <= self.smooth < 1.0, "in [0, 1)"),
            ("detect_every", 1 <= self.detect_every <= 1000, "in [1, 1000]"),
            ("hold", 0 <= self.hold <= 10, "in [0, 10]"),
            ("fade", 0 <= self.fade <= 10, "in [0, 10]"),
            ("noise", self.noise in ("track", "frame"), "track or frame"),
            ("codec", self.codec in CODECS, f"one of {', '.join(CODECS)}"),
            ("crf", 0 <= self.crf <= 51, "in [0, 51]"),
            ("segment", 1 <= self.segment <= 100_000, "in [1, 100000]"),
        ):
            if not good:
                raise ValueError(f"{name} must be {want}, got {getattr(self, name)!r}")
