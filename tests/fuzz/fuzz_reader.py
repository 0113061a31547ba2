"""A process that reads malformed files one after another and says of each what came of it.

    python fuzz_reader.py FIRST COUNT     mutations by number
    python fuzz_reader.py corpus          the fixed corpus

It prints "begin NAME" before and "end OUTCOME SECONDS" after each: when it dies or hangs, its parent knows of what.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

from fuzz_cases import Case, corpus, mutated

MEMORY = 6 * 2**30  # bytes of address space: a bomb must be refused, not swallowed


def read(case: Case, folder: Path) -> str:
    """Read the case with its reader; "read" or "refused", else a failure in words. Only our own errors are right."""
    path = folder / f"case{case.suffix}"
    path.write_bytes(case.data)
    try:
        return _READERS[case.kind](path, folder)
    finally:
        left = [one.name for one in folder.iterdir() if one != path]
        path.unlink(missing_ok=True)
        if left:
            raise AssertionError(f"left behind: {left}")


def _photo(path: Path, folder: Path) -> str:
    from likeness.photo import PhotoError, output_suffix, read_photo, write_photo
    from likeness.train.pictures import Entry, read_picture

    try:
        read_picture(Entry(path.name, path, -1, path.stat().st_size))  # the training set's reader: 512x512 only
    except ValueError as error:
        _one_line(error)
    try:
        photo = read_photo(path)
    except PhotoError as error:
        _one_line(error)
        return "refused"
    target = folder / f"out{output_suffix(photo)}"
    try:
        write_photo(photo, target)
        again = read_photo(target)
        assert again.pixels.shape == photo.pixels.shape
    finally:
        target.unlink(missing_ok=True)
    return "read"


def _weights(path: Path, folder: Path) -> str:
    from likeness.weights.checkpoint import read_checkpoint
    from likeness.weights.errors import WeightsError

    try:
        read_checkpoint(path)
    except WeightsError as error:
        _one_line(error)
        return "refused"
    return "read"


def _recipe(path: Path, folder: Path) -> str:
    from likeness.train.recipe import load_recipe

    try:
        load_recipe(path)
    except ValueError as error:
        _one_line(error)
        return "refused"
    return "read"


def _catalogue(path: Path, folder: Path) -> str:
    from likeness.weights.catalogue import read_catalogue
    from likeness.weights.errors import CatalogueError

    try:
        read_catalogue(path.read_bytes().decode("utf-8", "replace"))
    except CatalogueError as error:
        _one_line(error)
        return "refused"
    return "read"


def _one_line(error: Exception) -> None:
    text = str(error)
    assert text, repr(error)
    assert len(text.splitlines()) == 1, repr(text)


_READERS = {"photo": _photo, "weights": _weights, "recipe": _recipe, "catalogue": _catalogue}


def main(cases: Iterable[Case]) -> None:
    """Read them all."""
    import faulthandler
    import resource

    faulthandler.enable()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            print("begin", case.name, flush=True)
            began = time.perf_counter()
            try:
                outcome = read(case, Path(folder))
                if case.expected not in (None, outcome):
                    outcome = f"FAILED {outcome}, should be {case.expected}"
            except Exception as error:  # noqa: BLE001  whatever it is: it is what we are looking for
                outcome = f"FAILED {type(error).__name__}: {str(error).splitlines()[:1]}"
            print("end", f"{time.perf_counter() - began:.3f}", outcome, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "corpus":
        main(corpus())
    else:
        first, count = map(int, sys.argv[1:])
        main(mutated(number) for number in range(first, first + count))
