"""Progress of slow methods: they tell how far they are, whoever wants to know listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tell(done: int, total: int) -> None:
    """Say that ``done`` of ``total`` steps of the present face or batch are done."""
    listener = _listener.get()
    if listener is not None:
        listener(done, total)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within it, in this thread, ``listener(done, total)`` hears every ``tell``."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
