"""Progress bars with the time left, on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Bar:
    """``bar(done, total)`` moves it; in a file or pipe nothing is shown."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> Bar:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = Console(stderr=True)  # in a file or pipe a bar would leave an empty line
        self.progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.progress.start()
        self.task = self.progress.add_task("loading", total=None)
        return self

    def __call__(self, done: int, total: int, what: str = "") -> None:
        self.progress.update(self.task, completed=done, total=total, description=(what or self.what)[:40])

    def __exit__(self, *_: object) -> None:
        self.progress.stop()


@contextmanager
def bytes_bar(name: str) -> Iterator[Any]:
    """A progress bar for bytes on standard error; called with the bytes so far and all bytes."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    class Bar(Progress):
        def __call__(self, done: int, total: int | None) -> None:
            self.update(self.task_ids[0], completed=done, total=total)

    console = Console(stderr=True)  # in a file or pipe a bar would leave an empty line
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
    bar.add_task(name, total=None)
    with bar:
        yield bar
