"""The sha256 of a file, which is its identity."""

from __future__ import annotations

import hashlib
from pathlib import Path

from likeness.weights.errors import WeightsError


def fingerprint(path: Path) -> str:
    """sha256 of the file, in hexadecimal. Raises WeightsError when it cannot be read."""
    return digest(path, "sha256")


def digest(path: Path, algorithm: str) -> str:
    """The digest of the file by "sha256", "sha384", "md5", ..., in hexadecimal. Raises WeightsError."""
    try:
        with path.open("rb") as file:
            if hasattr(hashlib, "file_digest"):
                return hashlib.file_digest(file, algorithm).hexdigest()
            made = hashlib.new(algorithm)  # Python 3.10
            while block := file.read(1 << 20):
                made.update(block)
            return made.hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror}") from error
