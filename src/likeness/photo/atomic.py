"""Files appear whole or not at all: write beside the target under a hidden name, flush to disk, rename."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".likeness-"


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new empty temporary file beside `path`; when the block ends well it becomes `path`.

    The temporary name is hidden, unique and has the suffix of `path`. Parent folders are created. When the
    block raises, the temporary file is removed and `path` is as it was. After a kill at any moment `path` is
    the old or the new file, whole; a hidden `.likeness-*` file may stay behind, which `sweep_leftovers` removes.

    Raises:
        OSError: the folder cannot be made or written, or `path` is a folder.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{_PREFIX}{os.getpid()}-{secrets.token_hex(8)}{target.suffix}")
    # 0o666 leaves the rights to the user's umask, as for any file they make (mkstemp would give 0o600).
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    if os.name == "posix":
        _flush(target.parent)


def atomic_write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path`, whole or not at all. Raises OSError."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def atomic_write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8 with `\\n` line ends, whole or not at all. Raises OSError."""
    atomic_write_bytes(path, text.encode("utf-8"))


def sweep_leftovers(folder: str | os.PathLike[str]) -> None:
    """Remove, in `folder` and below, the temporary files of processes of this machine that are no more."""
    for path in Path(folder).rglob(f"{_PREFIX}*-*"):
        process = path.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdigit() and not _alive(int(process)):
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, and somebody else's
        return True
    return True


def _flush(path: Path) -> None:
    flags = os.O_RDONLY if path.is_dir() or os.name == "posix" else os.O_RDWR
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
