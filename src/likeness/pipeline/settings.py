"""What to do with every photo."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from likeness import parts
from likeness.backends.choose import BACKENDS

MIN_FACE = 32.0  # pixels; below this a face holds too little to restore honestly


@dataclass(frozen=True)
class Settings:
    """What to do with every photo; validated where it is made."""

    method: str | None = None  # the one that `weights` belong to, or the built-in
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    samples: int = 1
    blend: float = 1.0
    faces: Literal["all", "largest"] = "all"
    min_face: float = MIN_FACE
    identity_limit: float | None = None
    aligned: bool = False
    detector: str = "dlib"
    mask: str = "feathered"
    scale: int = 1
    upscaler: str = "lanczos"
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"  # what computes the method, see `likeness.methods.load`
    batch: int = 0  # 0: chosen by the device
    weights: str | Path | None = None  # a file, or a name in the catalogue
    landmarks: Path | None = None  # these three: what some methods need, see `likeness.conditions`
    reference: Path | None = None
    hole: str | None = None
    fallback: str | None = None  # the method for faces that lack what `method` needs
    provenance: bool = True  # written pictures say how they were made

    def __post_init__(self) -> None:
        for name, good, want in (
            ("samples", 1 <= self.samples <= 64, "in [1, 64]"),
            ("blend", 0.0 <= self.blend <= 1.0, "in [0, 1]"),
            ("faces", self.faces in ("all", "largest"), "all or largest"),
            ("min_face", self.min_face >= 0, "at least 0"),
            ("seed", 0 <= self.seed < 2**63 - 64, "in [0, 2^63 - 64)"),
            ("backend", self.backend in BACKENDS, f"one of {', '.join(BACKENDS)}"),
            ("batch", 0 <= self.batch <= 256, "in [0, 256]"),
            ("scale", self.scale in parts.SCALES, f"one of {parts.SCALES}"),
            ("identity_limit", self.identity_limit is None or self.identity_limit >= 0, "at least 0"),
        ):
            if not good:
                raise ValueError(f"{name} must be {want}, got {getattr(self, name)!r}")
