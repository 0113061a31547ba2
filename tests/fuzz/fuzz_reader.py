"""A process that reads malformed files one after another and says of each what came of it.

    python fuzz_reader.py FIRST COUNT     mutations by number
    python fuzz_reader.py corpus          the fixed corpus
    python fuzz_reader.py intact          what the mutations are made of

It prints "begin NAME" before and "end OUTCOME SECONDS" after each: when it dies or hangs, its parent knows of what.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

from fuzz_cases import Case, corpus, intact, mutated
from fuzz_doors import DOORS

MEMORY = 6 * 2**30  # bytes of address space: a bomb must be refused, not swallowed


def read(case: Case, folder: Path) -> str:
    """Send the case through its door; "read" or "refused". Raises whatever the door does not promise."""
    path = folder / f"case{case.suffix}"
    path.write_bytes(case.data)
    work = folder / "work"
    work.mkdir()
    try:
        return DOORS[case.kind](path, work)
    finally:
        partial = [one.name for one in work.rglob("*") if "partial" in one.name or one.name.startswith(".tmp")]
        path.unlink(missing_ok=True)
        shutil.rmtree(work)
        left = [one.name for one in folder.iterdir()]
        if partial or left:
            raise AssertionError(f"left behind: {partial + left}")


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
    if sys.argv[1] in ("corpus", "intact"):
        main(corpus() if sys.argv[1] == "corpus" else intact())
    else:
        first, count = map(int, sys.argv[1:])
        main(mutated(number) for number in range(first, first + count))
