"""Measure many pictures on threads, each with its own detector and recogniser; results come in order."""

from __future__ import annotations

import base64
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from likeness import parts
from likeness.faces import Detector, Recognizer

A = TypeVar("A")
B = TypeVar("B")


class Tools:
    """One thread's detector and recogniser, which are not thread-safe; loaded when first asked for."""

    def __init__(self, detector: str) -> None:
        self.name = detector
        self._detector: Detector | None = None
        self._recognizer: Recognizer | None = None

    @property
    def detector(self) -> Detector:
        """Raises what ``parts.find_detector`` raises."""
        if self._detector is None:
            self._detector = parts.find_detector(self.name)
        return self._detector

    @property
    def recognizer(self) -> Recognizer:
        """dlib's."""
        if self._recognizer is None:
            self._recognizer = parts.find_recognizer("dlib")
        return self._recognizer


def run(
    items: Sequence[A],
    work: Callable[[A, Tools], B],
    tools: Tools,
    workers: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[B]:
    """``work`` of each item, in the order of the items, on ``workers`` threads; few results are held. The first
    thread has ``tools``, the others load their own.

    ``progress(done, total)`` after each. Raises ValueError for fewer than one worker, and what ``work`` raises.
    """
    if workers < 1:
        raise ValueError(f"the number of workers must be at least 1, got {workers}")
    local, loaded = threading.local(), deque([tools])

    def one(item: A) -> B:
        if not hasattr(local, "tools"):
            try:
                local.tools = loaded.popleft()
            except IndexError:
                local.tools = Tools(tools.name)
        return work(item, local.tools)

    source = iter(items)
    waiting: deque[Future[B]] = deque()
    with ThreadPoolExecutor(workers, "measure") as pool:
        try:
            for done in range(1, len(items) + 1):
                while len(waiting) < 2 * workers + 2 and (item := next(source, None)) is not None:
                    waiting.append(pool.submit(one, item))
                yield waiting.popleft().result()
                progress(done, len(items))
        finally:
            for future in waiting:
                future.cancel()


def pack_vector(vector: np.ndarray) -> str:
    """(D,) float32 as text, exactly."""
    return base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode()


def unpack_vector(text: str) -> np.ndarray:
    """The inverse of ``pack_vector``."""
    return np.frombuffer(base64.b64decode(text), "<f4")
