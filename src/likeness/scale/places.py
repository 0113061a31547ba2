"""Addresses of files and folders: whatever fsspec reaches (``file://``, ``s3://``, ``gs://``, ``sftp://``).

Every problem with a storage is a PhotoError that begins with the address.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from likeness.photo import SUPPORTED_SUFFIXES, PhotoError

# In these a file is there when all of it is, and a rename would be a copy.
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "r2"}
HIDDEN = ".likeness-"  # as the temporary names of photo/atomic.py begin

# What storages raise beside OSError, ValueError and RuntimeError: module and class, looked up where it is loaded.
_FOREIGN_ERRORS = (
    ("aiohttp", "ClientError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
    ("paramiko.ssh_exception", "SSHException"),
)


def is_address(text: str | Path) -> bool:
    """Whether it is an address rather than a path of this machine."""
    return "://" in str(text)


def join(folder: str, name: str | PurePosixPath) -> str:
    """The address of ``name`` below ``folder``."""
    return f"{folder.rstrip('/')}/{name}"


def fetch(address: str, file: Path) -> None:
    """Copy what is at ``address`` to ``file``. Raises PhotoError."""
    with _plainly(address):
        system, path = _reach(address)
        file.parent.mkdir(parents=True, exist_ok=True)
        system.get_file(path, str(file))


def fetch_bytes(address: str) -> bytes | None:
    """What is at ``address``; None when there is nothing. Raises PhotoError."""
    with _plainly(address):
        system, path = _reach(address)
        try:
            return bytes(system.cat_file(path))
        except FileNotFoundError:
            return None


def send(file: Path, address: str) -> None:
    """Copy ``file`` to ``address``, where it appears whole or not at all. Raises PhotoError."""
    with _plainly(address):
        system, path = _reach(address)
        if _protocols(system) & OBJECT_STORES:
            system.put_file(str(file), path)
            return
        folder, _, name = path.rpartition("/")
        system.makedirs(folder, exist_ok=True)
        partial = f"{folder}/{HIDDEN}{os.getpid()}-{secrets.token_hex(8)}{PurePosixPath(name).suffix}"
        try:
            system.put_file(str(file), partial)
            system.mv(partial, path)
        except BaseException:
            if system.exists(partial):
                system.rm_file(partial)
            raise


def exists(address: str) -> bool:
    """Whether something is there. Raises PhotoError."""
    with _plainly(address):
        system, path = _reach(address)
        return bool(system.exists(path))


def remove(address: str) -> None:
    """Remove the file there. Raises PhotoError."""
    with _plainly(address):
        system, path = _reach(address)
        system.rm_file(path)


def find(address: str) -> list[tuple[str, PurePosixPath]]:
    """The photos there as (address, relative name): as ``photo.find_photos`` does for paths. Raises PhotoError."""
    with _plainly(address):
        system, path = _reach(address)
        if _protocols(system) & {"http", "https"}:  # a web server has files, no folders
            return [(address, PurePosixPath(PurePosixPath(path).name))]
        if any(magic in path for magic in "*?["):
            files = [file for file in sorted(system.glob(path)) if not system.isdir(file)]
            if not files:
                raise PhotoError(f"{address}: no file matches this pattern; check it")
            return [(system.unstrip_protocol(file), PurePosixPath(PurePosixPath(file).name)) for file in files]
        if not system.isdir(path):
            if not system.exists(path):
                raise PhotoError(f"{address}: there is no such file or folder; check the name")
            return [(address, PurePosixPath(PurePosixPath(path).name))]
        below = [(file, PurePosixPath(file).relative_to(path)) for file in sorted(system.find(path))]
        return [(system.unstrip_protocol(file), name) for file, name in below if _is_photo(name)]


def canonical(text: str) -> tuple[str, PurePosixPath]:
    """Storage and path: two names of one place are equal. Raises PhotoError."""
    if not is_address(text):
        return "file", PurePosixPath(Path(text).resolve().as_posix())
    with _plainly(text):
        system, path = _reach(text)
        protocols = _protocols(system)
        if "file" in protocols:
            return canonical(path)
        return min(protocols), PurePosixPath(path)


def _is_photo(name: PurePosixPath) -> bool:
    return name.suffix.lower() in SUPPORTED_SUFFIXES and not any(part.startswith(".") for part in name.parts)


def _reach(address: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    # a listing that is remembered would not know what other workers have written since
    system, path = url_to_fs(address, use_listings_cache=False)
    return system, str(path).rstrip("/")


def _protocols(system: Any) -> set[str]:
    return {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)


@contextmanager
def _plainly(address: str) -> Iterator[None]:
    try:
        yield
    except PhotoError:
        raise
    except FileNotFoundError:
        raise PhotoError(f"{address}: there is no such file or folder; check the name") from None
    except PermissionError as error:
        raise PhotoError(f"{address}: permission denied ({_one_line(error)})") from None
    except ImportError as error:  # fsspec says what to install
        raise PhotoError(f"{address}: {_one_line(error)}") from None
    except _storage_errors() as error:
        raise PhotoError(f"{address}: the storage says: {_one_line(error)}") from None


def _storage_errors() -> tuple[type[BaseException], ...]:
    found = [getattr(sys.modules.get(module), name, None) for module, name in _FOREIGN_ERRORS]
    return (OSError, ValueError, RuntimeError, TimeoutError, *(one for one in found if one is not None))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
