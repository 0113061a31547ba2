"""How much one client, and all of them together, may ask of this machine."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """Bounds of the studio and the API; all positive. Raises ValueError naming the one that is not.

    ``upload_bytes``: one file. ``request_bytes``: one HTTP request, with all its files. ``pixels``: one photo, by
    its header. ``photos``: in one job. ``methods``: in one job. ``samples``: of one face. ``waiting``: jobs in the
    queue, beside the one that runs. ``remembered``: uploads, and ended jobs, that are kept at most.
    ``scratch_bytes``: what uploads and results may take on disk. ``keep_seconds``: how long what nobody asks for
    is kept. ``memory_bytes``: what must be free for the studio to be of use at all.
    """

    upload_bytes: int = 64 * 2**20
    request_bytes: int = 512 * 2**20
    pixels: int = 50_000_000
    photos: int = 50
    methods: int = 4
    samples: int = 8
    waiting: int = 16
    remembered: int = 400
    scratch_bytes: int = 4 * 2**30
    keep_seconds: float = 3600.0
    memory_bytes: int = 1 * 2**30

    def __post_init__(self) -> None:
        for one in fields(self):
            if not getattr(self, one.name) > 0:
                raise ValueError(f"{one.name} must be above 0, got {getattr(self, one.name)!r}")
