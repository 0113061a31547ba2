"""photo -> faces -> method -> photo: the only place where the wings meet.

``Session`` holds what is loaded once (detector, method, recogniser); ``prepare`` turns a photo into crops, ``restore``
sends a batch through the method, ``settle`` gathers the evidence for a face and pastes it back, and ``finish`` ends
the photo. ``stream`` runs them for many photos: decoding and detecting (on several threads, since dlib's detector takes
longer than our network), restoring, and pasting and encoding overlap, faces of several photos share a batch, and at
most a few photos are in memory.
"""

from likeness.pipeline.session import Session, spread
from likeness.pipeline.settings import MIN_FACE, Settings
from likeness.pipeline.streaming import restore_photo, stream

__all__ = ["MIN_FACE", "Session", "Settings", "restore_photo", "spread", "stream"]
