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
    picture is searched every so many frames, between them only the surroundings of known faces. hold: frames for
    which a face that is not found is expected to be there yet. steady: smooth the alignment (One-Euro filter). noise:
    the same for a track, or another for every frame (only to measure what that does). codec, crf: of the output; 0
    is the best. segment: frames between two points from which an interrupted run can go on. Raises ValueError.
    """

    smooth: float = 0.5
    detect_every: int = 5
    hold: int = 5
    steady: bool = True
    noise: Literal["track", "frame"] = "track"
    codec: str = "libx264"
    crf: int = 16
    segment: int = 120

    def __post_init__(self) -> None:
        for name, good, want in (
            ("smooth", 0.0 <= self.smooth < 1.0, "in [0, 1)"),
            ("detect_every", 1 <= self.detect_every <= 1000, "in [1, 1000]"),
            ("hold", 0 <= self.hold <= 100, "in [0, 100]"),
            ("noise", self.noise in ("track", "frame"), "track or frame"),
            ("codec", self.codec in CODECS, f"one of {', '.join(CODECS)}"),
            ("crf", 0 <= self.crf <= 51, "in [0, 51]"),
            ("segment", 1 <= self.segment <= 100_000, "in [1, 100000]"),
        ):
            if not good:
                raise ValueError(f"{name} must be {want}, got {getattr(self, name)!r}")
