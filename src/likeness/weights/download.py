"""Fetch a file over HTTP: resumed where it stopped, tried again when the net fails, from several addresses in turn.

The transport is ``requests`` (proxies, certificates and redirects as everywhere); here is only what it does not do.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote, urlsplit

from likeness.weights.errors import WeightsError

if TYPE_CHECKING:
    from requests import Response, Session

Progress = Callable[[int, int | None], None]

TIMEOUT = (15.0, 60.0)  # seconds to connect, and between two blocks
ATTEMPTS = 5  # in a row without a new byte, for each address
BACKOFF = 0.5  # seconds before the second attempt, doubled for each further one
LONGEST_WAIT = 60.0
BLOCK = 1 << 14  # bytes; so many at most are lost when the connection breaks
LARGEST = 8 << 30  # bytes; no released face model comes near
_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<error")


def offline() -> bool:
    """Whether ``LIKENESS_OFFLINE`` forbids the network."""
    return os.environ.get("LIKENESS_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def mirrored(file: str, urls: Sequence[str]) -> list[str]:
    """The addresses at which ``file`` is looked for: that at ``LIKENESS_MIRROR`` first, if there is one."""
    mirror = os.environ.get("LIKENESS_MIRROR", "").strip()
    return [*([f"{mirror.rstrip('/')}/{quote(file)}"] if mirror else []), *urls]


class _Hopeless(Exception):
    """This address will not give the file."""


class _Passing(Exception):
    """It may work when it is tried again; ``wait`` is what the server asks for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def fetch(
    urls: Sequence[str],
    part: Path,
    check: Callable[[Path], None],
    size: int | None = None,
    progress: Progress | None = None,
) -> str:
    """Fetch the file into ``part`` from the first of ``urls`` that gives it; returns that address.

    ``check(part)`` raises WeightsError when the whole file is not what it should be. ``size`` is that of the file when
    it is known; ``progress(bytes so far, all bytes or None)``. What a broken connection left in ``part`` stays, and a
    later call goes on from there when the server still has the same file. Raises WeightsError with the reason of each
    address, OSError when the disk is full.
    """
    import requests

    part.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    with requests.Session() as session:
        session.headers.update({"User-Agent": "likeness", "Accept-Encoding": "identity"})
        for url in urls:
            try:
                _fetch_from(session, url, part, check, size, progress or (lambda done, total: None))
                return url
            except _Hopeless as error:
                reasons.append(f"{url}: {error}")
    raise WeightsError("; ".join(reasons))


def discard(part: Path) -> None:
    """Remove what there is of an unfinished download."""
    part.unlink(missing_ok=True)
    _Origin.path(part).unlink(missing_ok=True)


def looks_like_a_page(path: Path) -> bool:
    """Whether the file is a web page or an error message and not weights."""
    with path.open("rb") as file:
        return file.read(256).lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGES)


def _fetch_from(
    session: Session, url: str, part: Path, check: Callable[[Path], None], size: int | None, progress: Progress
) -> None:
    failures, furthest, again = 0, 0, True
    while True:
        origin = _Origin.of(part, url)
        before = _length(part) if origin else 0
        furthest = max(furthest, before)
        try:
            if origin is None or before != origin.total:  # else only the check was missing
                _stream(session, url, part, origin, size, progress)
        except _Passing as error:
            failures = 1 if _length(part) > furthest else failures + 1
            if failures >= ATTEMPTS:
                raise _Hopeless(f"{error} ({ATTEMPTS} attempts)") from error
            time.sleep(min(max(error.wait, BACKOFF * 2 ** (failures - 1)), LONGEST_WAIT))
            continue
        except _Hopeless:
            left = _Origin.read(part)
            if left is None or left.url == url:  # what another address gave stays
                discard(part)
            raise
        try:
            check(part)
            return
        except WeightsError as error:
            discard(part)
            if not (before and again):  # a file pieced together may be at fault: once more from its start
                raise _Hopeless(str(error)) from error
            again = False


def _stream(
    session: Session, url: str, part: Path, origin: _Origin | None, size: int | None, progress: Progress
) -> None:
    """Append to ``part`` what the address gives from there on. Raises _Hopeless or _Passing."""
    import requests

    headers = {"Range": f"bytes={_length(part)}-"} if origin else {}
    if origin and origin.validator:
        headers["If-Range"] = origin.validator  # another file by now comes whole
    done, total = 0, size
    try:
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            start = _begin(response, url, part, origin)
            total = _total(response, start) or size
            if size is not None and total != size:
                raise _Hopeless(f"it offers {total} bytes, but the file has {size}")
            if start and origin and total != origin.total:
                discard(part)
                raise _Passing("it has another file by now")
            _room_for(part, (total or 0) - start)
            if not start:
                _Origin.note(part, url, response, total)
            done = start
            progress(done, total)
            with part.open("ab" if start else "wb") as file:
                for block in response.iter_content(BLOCK):
                    file.write(block)
                    done += len(block)
                    if done > (total or LARGEST):
                        raise _Hopeless(f"it sends more than {total or LARGEST} bytes")
                    progress(done, total)
    except requests.exceptions.RequestException as error:
        _explain(error, done, total)
    if done < (total or 0):
        raise _Passing(f"the connection ended after {done} of {total} bytes")


def _begin(response: Response, url: str, part: Path, origin: _Origin | None) -> int:
    """Check the answer; the byte from which it goes on."""
    steps = {urlsplit(step.url).scheme for step in (*response.history, response)}
    if urlsplit(url).scheme == "https" and steps != {"https"}:
        raise _Hopeless("it leads from https to an address that is not encrypted")
    code, start = response.status_code, _length(part)
    if code == 416:  # our part is of no use to this server
        discard(part)
        raise _Passing("it has no such range")
    if code in _TEMPORARY:
        wait = response.headers.get("Retry-After", "")
        raise _Passing(f"{code} {response.reason}", float(wait) if wait.isdigit() else 0.0)
    if code not in (200, 206):
        raise _Hopeless(f"{code} {response.reason}")
    if response.headers.get("Content-Type", "").startswith(("text/html", "application/xhtml")):
        raise _Hopeless("it sends a web page, not the file")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _Hopeless(f"it sends the file in the encoding {response.headers['Content-Encoding']}, unasked")
    if code == 206 and origin and response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        return start
    discard(part)
    if code == 206:
        raise _Passing("it sends another range than was asked")
    return 0


def _total(response: Response, start: int) -> int | None:
    """All bytes of the file, when the answer says so."""
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() else None


def _explain(error: Exception, done: int, total: int | None) -> NoReturn:
    from requests import exceptions as kinds

    so_far = f"after {done}{f' of {total}' if total else ''} bytes" if done else "before the first byte"
    if isinstance(error, (kinds.ChunkedEncodingError, kinds.ContentDecodingError)):
        raise _Passing(f"the connection broke {so_far}") from error
    if isinstance(error, kinds.SSLError):
        raise _Hopeless("its certificate is not accepted (behind a proxy, set REQUESTS_CA_BUNDLE)") from error
    if isinstance(error, kinds.ProxyError):
        raise _Passing("the proxy does not answer (see HTTPS_PROXY and NO_PROXY)") from error
    if isinstance(error, kinds.Timeout):
        raise _Passing(f"no answer in time, {so_far}") from error
    if isinstance(error, kinds.ConnectionError):
        raise _Passing(f"the connection failed {so_far}") from error
    raise _Hopeless(" ".join(str(error).split())) from error


def _room_for(part: Path, more: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if more > free:
        raise WeightsError(f"{part.parent} has {free / 1e6:.0f} MB free, and {more / 1e6:.0f} MB are needed")


@dataclass(frozen=True)
class _Origin:
    """Where an unfinished file comes from, noted beside it."""

    url: str
    validator: str
    total: int

    @staticmethod
    def path(part: Path) -> Path:
        return part.with_name(f"{part.name}.json")

    @staticmethod
    def read(part: Path) -> _Origin | None:
        """What is known of ``part``."""
        note = _Origin.path(part)
        try:
            return _Origin(**json.loads(note.read_text(encoding="utf-8"))) if note.is_file() else None
        except (ValueError, TypeError):  # half written when the power failed
            return None

    @staticmethod
    def of(part: Path, url: str) -> _Origin | None:
        """What is known of ``part`` when ``url`` can go on from it."""
        origin = _Origin.read(part)
        return origin if origin and origin.url == url and 0 < _length(part) <= origin.total else None

    @staticmethod
    def note(part: Path, url: str, response: Response, total: int | None) -> None:
        """Make going on possible, when the length of the file is known."""
        tag = response.headers.get("ETag", "W/")
        validator = response.headers.get("Last-Modified", "") if tag.startswith("W/") else tag
        if total:
            _Origin.path(part).write_text(json.dumps(vars(_Origin(url, validator, total))), encoding="utf-8")


def _length(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0
