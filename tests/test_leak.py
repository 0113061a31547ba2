"""Two thousand photos, and memory stays as it is."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

import scenes

PHOTOS, WARM = 2000, 400
SLOPE = 1.0  # MB for each hundred photos


def resident(pid: int) -> float:
    """MB; 0 when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_memory_does_not_grow_with_the_number_of_photos(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for i in range(PHOTOS):  # of many sizes, as a real folder's, with a face that is found
        side = 240 + 4 * (i % 40)
        (source / f"{i:04}.jpg").write_bytes(scenes.encoded(scenes.portrait(side)))
    process = scenes.start("restore", source, "-o", out, "--method", "pattern")
    seen: list[tuple[int, float]] = []
    while process.poll() is None:
        time.sleep(0.5)
        seen.append((sum(1 for _ in out.glob("*.jpg")), resident(process.pid)))
    process.communicate()
    assert process.returncode == 0
    settled = np.array([(done, megabytes) for done, megabytes in seen if done > WARM and megabytes])
    slope = float(np.polyfit(settled[:, 0], settled[:, 1], 1)[0]) * 100
    low, high = settled[:, 1].min(), settled[:, 1].max()
    print(f"{len(settled)} looks, {low:.0f} to {high:.0f} MB, {slope:+.2f} MB per 100 photos")
    assert len(settled) > 20
    assert settled[-1, 0] > 0.9 * PHOTOS
    assert slope < SLOPE
