"""Ray's processes below this one, by /proc."""

from __future__ import annotations

import os
from pathlib import Path


def parents() -> dict[int, tuple[int, str]]:
    """Process -> its parent and what it calls itself, of all that run."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state != "Z":
            found[int(folder.name)] = int(parent), line
    return found


def of_ray() -> dict[int, str]:
    """Ray's processes below this one: number -> name."""
    every = parents()
    below = {}
    for process, (parent, line) in every.items():
        while parent in every and parent != os.getpid():
            parent = every[parent][0]
        if parent == os.getpid() and ("ray::" in line or "raylet" in line or "gcs_server" in line):
            below[process] = line
    return below


def workers() -> list[int]:
    """The processes of the workers that are alive."""
    return sorted(process for process, line in of_ray().items() if line.startswith("ray::MapWorker"))
