"""Many photos: reading, restoring, and pasting and writing overlap on threads, and few are in memory at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from likeness.photo import Photo, read_photo
from likeness.pipeline.heap import trim
from likeness.pipeline.session import Session
from likeness.pipeline.work import FaceWork, Finished, PhotoWork

Job = tuple[str, Photo | Path]
T = TypeVar("T")


def stream(session: Session, jobs: Iterable[Job], write: Callable[[Finished], T], *, keep: bool = True) -> Iterator[T]:
    """Restore many photos; yields what ``write`` returns for each, in the order of the jobs.

    ``write`` runs on a thread of its own, one call at a time, which pastes each face as soon as it is restored. At most
    ``session.batch + session.readers`` + 4 photos are held. Without ``keep`` the faces' pictures go when they are
    pasted, and ``write`` gets none in ``restored``.
    """
    ahead = session.batch + 1 + session.readers
    source = iter(jobs)
    reading: deque[Future[PhotoWork]] = deque()
    waiting: deque[PhotoWork] = deque()  # prepared, some of their faces not restored yet
    pending: deque[tuple[PhotoWork, FaceWork]] = deque()  # faces of `waiting` that are not restored yet, in order
    settling: deque[Future[None]] = deque()
    writing: deque[Future[T]] = deque()

    with ThreadPoolExecutor(session.readers, "prepare") as reader, ThreadPoolExecutor(1, "finish") as writer:

        def finish(work: PhotoWork) -> T:
            try:
                return write(session.finish(work, keep))
            finally:
                trim()

        def read_ahead() -> None:
            while len(reading) + len(waiting) < ahead:
                job = next(source, None)
                if job is None:
                    return
                reading.append(reader.submit(session.prepare, *job))

        def restore_some() -> None:
            some = [pending.popleft() for _ in range(min(session.batch, len(pending)))]
            if some:
                session.restore([face for _, face in some])
                settling.extend(writer.submit(session.settle, work, face, keep) for work, face in some)
            while len(settling) > session.batch + 2:  # a slow writer holds the method back
                settling.popleft().result()
            unfinished = {id(work) for work, _ in pending}
            while waiting and id(waiting[0]) not in unfinished:
                writing.append(writer.submit(finish, waiting.popleft()))

        read_ahead()
        while reading or waiting:
            while reading and len(pending) < session.batch:
                work = reading.popleft().result()
                waiting.append(work)
                pending.extend((work, face) for face in work.chosen)
            restore_some()
            while writing and (writing[0].done() or len(writing) > 2):
                yield writing.popleft().result()
            read_ahead()
        while writing:
            yield writing.popleft().result()


def restore_photo(session: Session, photo: Photo | Path, source: str = "") -> Finished:
    """Restore one photo. Raises PhotoError when it cannot be read."""
    if isinstance(photo, Path):
        source, photo = source or str(photo), read_photo(photo)
    return next(iter(stream(session, [(source, photo)], lambda finished: finished)))
