"""What commands say, and how they end: notes and errors on standard error, one line each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

FAILED, WRONG_USE = 1, 2


def note(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr, flush=True)


def stop(text: str, status: int = WRONG_USE) -> NoReturn:
    """End the command with one line that says what is wrong and what to do."""
    note(f"likeness: {text}")
    raise SystemExit(status)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Errors that a user can mend become one line and exit status 2; anything else is a bug and shows itself."""
    from likeness.photo import PhotoError

    try:
        yield
    except (PhotoError, ValueError, FileNotFoundError) as error:  # OptionError, ComputeError, ... are ValueErrors
        stop(str(error))
    except KeyError as error:
        stop(str(error.args[0]))
    except PermissionError as error:
        stop(f"permission denied: {error.filename}")
    except (NotADirectoryError, FileExistsError, IsADirectoryError) as error:
        stop(f"{error.filename}: {error.strerror}")
    except OSError as error:  # a full disk, a lost drive
        stop(f"{error.filename}: {error.strerror}" if error.filename else str(error), FAILED)
    except KeyboardInterrupt:
        stop("stopped; run the same command again to go on", 130)
