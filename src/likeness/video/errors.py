"""What is wrong with a video, on one line."""

from __future__ import annotations

from typing import Any


class VideoError(ValueError):
    """Something about a video that the user can mend: which file, what is wrong, what to do."""


class BrokenVideoError(VideoError):
    """The file itself cannot be restored: damaged, or without pictures."""


def need_av() -> Any:
    """PyAV. Raises VideoError that says how to install it."""
    try:
        import av
    except ImportError as error:
        raise VideoError("video needs PyAV, which is not installed: python -m pip install 'likeness[video]'") from error
    return av
