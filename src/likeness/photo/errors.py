"""The one error of this package, and the exceptions that a damaged file can raise inside a decoder."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path


class PhotoError(ValueError):
    """Something is wrong with a photo or its file. One line: which file, what is wrong, what to do."""


# Everything Pillow, OpenCV and libheif have been seen to raise on damaged input. A list, not `Exception`, so
# that a mistake of ours outside a decoder stays visible.
DECODER_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    RuntimeError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    MemoryError,
    struct.error,
    zlib.error,
)


def shown(path: str | os.PathLike[str]) -> str:
    """A path as it can be printed on one line: control characters and undecodable bytes are escaped."""
    return one_line(os.fspath(path))


def one_line(text: str) -> str:
    """`text` without line breaks, control characters or lone surrogates."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    )


def photo_error(path: str | os.PathLike[str] | None, problem: str) -> PhotoError:
    """A PhotoError "<path>: <problem>" on one line; without a path just the problem."""
    return PhotoError(one_line(problem) if path is None else f"{shown(path)}: {one_line(problem)}")


def file_error(path: str | os.PathLike[str], error: OSError) -> PhotoError:
    """The PhotoError for what the operating system says about `path`."""
    if isinstance(error, FileNotFoundError):
        return photo_error(path, "there is no such file or folder; check the name")
    if isinstance(error, IsADirectoryError):
        return photo_error(path, "this is a folder, a file is needed")
    if isinstance(error, PermissionError):
        return photo_error(path, "permission denied; check the rights of the file and its folder")
    reason = error.strerror or str(error) or type(error).__name__
    return photo_error(path, f"the system says: {reason}")


def suffix_of(path: str | os.PathLike[str]) -> str:
    """Suffix in lower case, with the dot; "" when there is none."""
    return Path(path).suffix.lower()
