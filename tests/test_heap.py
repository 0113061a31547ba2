"""What photos leave in the heaps of threads goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import numpy as np
import pytest

import scenes
from likeness import pipeline
from likeness.photo import Photo
from likeness.pipeline import Session, Settings, stream

HOLES = """
import threading
from pathlib import Path
from likeness.pipeline.heap import trim

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])

def fill():
    blocks = [b"x" * (100_000 + i) for i in range(2000)]  # below the size that is mapped by itself
    kept.extend(blocks[::100])

kept = []
thread = threading.Thread(target=fill)
before = resident()
thread.start()
thread.join()
full = resident()
trim()
print(before, full, resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_holes_in_the_heap_of_a_thread_are_given_back() -> None:
    before, full, after = map(int, subprocess.check_output([sys.executable, "-c", HOLES], text=True).split())
    assert full > before + 100_000  # kB
    assert after < before + 50_000


def test_every_photo_is_followed_by_it_also_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    monkeypatch.setattr(pipeline.streaming, "trim", lambda: done.append(1))
    session = Session(Settings(aligned=True), scenes.Pattern())
    square, wide = (Photo.from_array(np.full((16, width, 3), 90, np.uint8)) for width in (16, 20))
    found = stream(session, [("a", square), ("b", wide), ("c", square)], lambda finished: finished.result.status)
    assert list(found) == ["restored", "failed", "restored"]
    assert len(done) == 3
