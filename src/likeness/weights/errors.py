"""What goes wrong with weights, in words for people."""

from __future__ import annotations


class WeightsError(ValueError):
    """Weights that are missing, damaged or of another network; the message is for people.

    It is one line, and what a file or server brings into it cannot steer the terminal.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else "?" for c in message))


class LicenceError(WeightsError):
    """Weights whose licence must be accepted before they are fetched; the message says how."""


class CatalogueError(WeightsError):
    """A name that the catalogue does not know, or an entry of it that is not valid."""
