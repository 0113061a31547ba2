"""What a client did wrong, or what this machine cannot do for it now."""

from __future__ import annotations


class Refused(Exception):
    """``message``: one line for people. ``status``: the HTTP status that says the same.

    400 wrong use, 404 not there (any more), 413 too large, 415 no photo, 429 too much at once, 503 too small.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
