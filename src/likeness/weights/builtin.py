"""The weights that come with the package."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "files"


def builtin_path(name: str) -> Path:
    """The packaged ``<name>.safetensors``; whether it is intact shows when it is loaded."""
    return FOLDER / f"{name}.safetensors"
