"""Restore the faces of a video: track them, restore them with the same noise, keep all else as it was.

Needs PyAV (the extra ``video``). Importing this is light: PyAV, OpenCV and torch are loaded by what needs them.
"""

from likeness.video.errors import BrokenVideoError, VideoError
from likeness.video.settings import VideoSettings

__all__ = ["BrokenVideoError", "VideoError", "VideoSettings"]
