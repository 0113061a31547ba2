"""Photos a second of the plain run and of one and two local Ray workers, with the built-in model, in the same run.

    python benchmarks/scale.py [--photos 48] [--workers 1,2] [--cpus-per-worker 1]

Each way restores the same files in a process of its own. "start": from the command to the first record (processes,
models, and of Ray the cluster and the first batch); "photos/s": of the records after the first ones, so without it.
The outputs of all ways are compared, byte by byte. Writes benchmarks/results/scale.md and scale.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

RESULTS = Path(__file__).parent / "results"


def photos(folder: Path, count: int, side: int = 1024) -> None:
    """So many square photos with one face: scikit-image's portrait under other light, blurred."""
    from skimage import data

    folder.mkdir(parents=True)
    portrait = cv2.resize(data.astronaut()[..., ::-1], (side, side), interpolation=cv2.INTER_CUBIC)
    for number in range(count):
        rng = np.random.default_rng(number)
        one = portrait[:, ::-1] if number % 2 else portrait
        one = np.clip(one * rng.uniform(0.8, 1.1, 3), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:05}.jpg"), cv2.GaussianBlur(one, (0, 0), side / 300))


def one_way(way: str, source: Path, out: Path, cpus: float) -> dict[str, Any]:
    """Restore the folder in this process; the times."""
    from likeness.pipeline import Settings

    began, times = time.perf_counter(), []

    def progress(done: int, total: int, record: dict[str, Any]) -> None:
        times.append(time.perf_counter() - began)

    if way == "plain":
        from likeness.folder import restore_files

        report = restore_files([source], out, Settings(), progress=progress)
    else:
        from likeness.scale.cluster import Pool
        from likeness.scale.restore import restore_on_cluster

        pool = Pool(workers=int(way), cpus=cpus)
        report = restore_on_cluster([source], out, Settings(), pool=pool, progress=progress)
    whole = time.perf_counter() - began
    first = sum(1 for when in times if when < times[0] + 0.02)  # a batch comes at once
    return {
        "way": way,
        "photos": len(times),
        "failed": len(report.failures),
        "start": times[0],
        "seconds": whole,
        "photos_per_second": (len(times) - first) / (times[-1] - times[0]),
    }


def in_a_process(way: str, source: Path, out: Path, cpus: float) -> dict[str, Any]:
    """``one_way`` in a fresh process."""
    command = [sys.executable, __file__, "--way", way, "--source", str(source), "--out", str(out)]
    command += ["--cpus-per-worker", str(cpus)]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def outputs(folder: Path) -> dict[str, bytes]:
    """Every picture by name."""
    return {path.name: path.read_bytes() for path in folder.glob("*.jpg")}


def main() -> None:
    """Run all ways and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=48)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--cpus-per-worker", type=float, default=1.0)
    for hidden in ("--way", "--source", "--out"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    a = parser.parse_args()
    if a.way:
        print(json.dumps(one_way(a.way, Path(a.source), Path(a.out), a.cpus_per_worker)))
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        photos(source, a.photos)
        ways = ["plain", *a.workers.split(",")]
        rows = [in_a_process(way, source, Path(folder) / way, a.cpus_per_worker) for way in ways]
        whole = outputs(Path(folder) / "plain")
        for row in rows:
            other = outputs(Path(folder) / row["way"])
            row["same_bytes"] = sum(other.get(name) == data for name, data in whole.items())
    lines = [
        f"{a.photos} photos of 1 megapixel with one face, built-in model; {os.cpu_count()} cores "
        f"({platform.machine()}), load {os.getloadavg()[0]:.1f}; Ray {version('ray')}, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}",
        "",
        "| way | start, s | photos/s | against plain | whole run, s | outputs as plain's |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = "plain" if row["way"] == "plain" else f"Ray, {row['way']} local"
        against = row["photos_per_second"] / rows[0]["photos_per_second"]
        lines.append(
            f"| {name} | {row['start']:.1f} | {row['photos_per_second']:.2f} | {against:.2f} | {row['seconds']:.1f} "
            f"| {row['same_bytes']} of {a.photos} |"
        )
    print("\n".join(lines))
    a.results.mkdir(parents=True, exist_ok=True)
    (a.results / "scale.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (a.results / "scale.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
