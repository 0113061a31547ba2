"""A stretch in which Pillow's own pixel limit and warnings are off, since `read_photo` has its own limit."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from PIL import Image

_lock = threading.Lock()
_users = 0
_restore = ExitStack()


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Within: no decompression-bomb check, no warnings about odd metadata. Safe in threads and nested.

    Both switches are global to the process; they go off with the first user and on again after the last.
    """
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _restore.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            _restore.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
            Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _restore.close()
