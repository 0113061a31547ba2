"""Whether this machine has the memory that a method needs."""

from __future__ import annotations

from pathlib import Path

BASE = 0.8e9  # bytes that Python, torch and the pipeline take with a photo of a few megapixels
WORKING = 2.2  # times a network's file: its weights and what it computes with, seen between 1.6 and 2.7


def free_memory() -> int | None:
    """Bytes that a process can still get; None where the system does not say."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return None
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def needed_memory(weights_bytes: int | None) -> int:
    """An estimate for a method whose weights' file has so many bytes (None: unknown)."""
    return int(BASE + WORKING * (weights_bytes or 0))


def too_little(needed: int, free: int | None) -> str | None:
    """Why it will not fit, in words; None when it will, or nobody knows."""
    if free is None or needed <= free:
        return None
    return f"needs about {needed / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free on this machine"
