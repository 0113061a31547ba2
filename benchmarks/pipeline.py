"""The whole pipeline, from files to files: photos and faces a second and peak memory, beside the field's way.

    python benchmarks/pipeline.py [--scenes 1x1,12x1,24x1,24x10,24x50,folder] [--folder 500] [--others 60] [--rounds 1]

Three ways over the same files in the same run, each in a process of its own: "field" (one face at a time, full-frame
warp and blend, see field_way.py; fp32 torch, as the field runs), "serial" (our parts, one photo after the other, one
thread of ours) and "ours" (``likeness restore`` as it is, with the backend that "auto" takes). A scene is megapixels x
faces, one photo; "folder" is that many photos of 2 megapixels with one face, of which the other two ways do the first
``--others`` only: what is compared is photos a second. The faces are the portrait in
scikit-image's data under other light, blurred. Loading is not counted. Writes benchmarks/results/pipeline.md and .json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

RESULTS = Path(__file__).parent / "results"
WAYS = ("field", "serial", "ours")
SCENES = "1x1,12x1,24x1,24x10,24x50,folder"


def scene(megapixels: float, faces: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 BGR, 3:2, with so many faces in a grid."""
    from skimage import data

    rng = np.random.default_rng(seed)
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(height * 1.5)
    rows = max(1, round((faces / 1.5) ** 0.5))
    columns = -(-faces // rows)
    side = min(height // rows, width // columns, 1200)
    canvas = np.full((height, width, 3), (96, 118, 108), np.uint8)
    canvas[:, :, 0] = np.linspace(60, 140, width, dtype=np.uint8)
    portrait = cv2.resize(data.astronaut()[..., ::-1], (side, side), interpolation=cv2.INTER_CUBIC)
    for i in range(faces):
        row, column = divmod(i, columns)
        one = portrait[:, ::-1] if rng.random() < 0.5 else portrait
        one = cv2.GaussianBlur(np.clip(one * rng.uniform(0.8, 1.1, 3), 0, 255).astype(np.uint8), (0, 0), side / 300)
        top, left = row * height // rows, column * width // columns
        canvas[top : top + side, left : left + side] = one
    return canvas


def photos(folder: Path, name: str, count: int) -> list[Path]:
    """The files of a scene."""
    folder.mkdir(parents=True)
    if name == "folder":
        paths = [folder / f"{i:04}.jpg" for i in range(count)]
        for i, path in enumerate(paths):
            cv2.imwrite(str(path), scene(2, 1, i), [cv2.IMWRITE_JPEG_QUALITY, 92])
        return paths
    megapixels, faces = map(int, name.split("x"))
    cv2.imwrite(str(folder / "photo.jpg"), scene(megapixels, faces), [cv2.IMWRITE_JPEG_QUALITY, 92])
    return [folder / "photo.jpg"]


class Memory:
    """Resident bytes, looked at ten times a second."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self._stop = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.seen.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())

    def growth(self) -> float:
        """MB between the means of the second and the last quarter."""
        quarter = len(self.seen) // 4
        if not quarter:
            return 0.0
        return float(np.mean(self.seen[-quarter:]) - np.mean(self.seen[quarter : 2 * quarter])) / 1e6


def work(way: str, source: Path, target: Path, count: int) -> dict[str, Any]:
    """One way over the first ``count`` files of ``source``, in this process."""
    paths = sorted(source.iterdir())[:count]
    target.mkdir()
    warm = scene(0.5, 1)
    cv2.imwrite(str(target / "warm.jpg"), warm)
    if way == "field":
        from field_way import FieldWay

        field = FieldWay()
        field.restore(target / "warm.jpg", target / "warm.out.jpg")
        field.seconds = dict.fromkeys(field.seconds, 0.0)
        memory, began = Memory(), time.perf_counter()
        faces = sum(field.restore(path, target / path.name) for path in paths)
        seconds, stages = time.perf_counter() - began, field.seconds
    else:
        from likeness.photo import write_photo
        from likeness.pipeline import Session, Settings, restore_photo, stream

        session = Session(Settings(backend="torch" if way == "serial" else "auto", device="cpu"))
        restore_photo(session, target / "warm.jpg")
        memory, began = Memory(), time.perf_counter()

        def write(finished: Any) -> int:
            assert finished.photo is not None, finished.result
            write_photo(finished.photo, target / Path(finished.result.input).name)
            return sum(face.status == "restored" for face in finished.result.faces)

        if way == "serial":
            faces = sum(write(restore_photo(session, path)) for path in paths)
        else:
            faces = sum(stream(session, ((str(path), path) for path in paths), write))
        seconds, stages = time.perf_counter() - began, {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "way": way, "photos": len(paths), "faces": faces, "seconds": seconds, "peak_mb": peak,
        "growth_mb": memory.growth(), "stages": stages,
    }  # fmt: skip


def processor() -> str:
    """What /proc/cpuinfo calls it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def earlier(machine: dict[str, Any], measured: set[str]) -> list[dict[str, Any]]:
    """The rows of other scenes that an earlier run on this machine wrote."""
    path = RESULTS / "pipeline.json"
    if not path.exists():
        return []
    kept = json.loads(path.read_text(encoding="utf-8"))
    return [row for row in kept["rows"] if row["scene"] not in measured] if kept["machine"] == machine else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", default=SCENES, help="others keep the rows that they have, on the same machine")
    parser.add_argument("--folder", type=int, default=500)
    parser.add_argument(
        "--others", type=int, default=60, help="photos of the folder for the field's and the serial way"
    )
    parser.add_argument("--rounds", type=int, default=1, help="the fastest of so many counts")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        way, source, target, count = args.work
        print(json.dumps(work(way, Path(source), Path(target), int(count))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.scenes.split(","):
            photos(Path(folder) / name, name, args.folder)
            found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
            for round_ in range(args.rounds):
                for way in WAYS:
                    target = Path(folder) / f"{name}-{way}-{round_}"
                    count = args.folder if way == "ours" else args.others
                    command = [
                        sys.executable,
                        __file__,
                        "--work",
                        way,
                        str(Path(folder) / name),
                        str(target),
                        str(count),
                    ]
                    found[way].append(json.loads(subprocess.check_output(command, text=True).splitlines()[-1]))
            best = {way: min(runs, key=lambda run: run["seconds"]) for way, runs in found.items()}
            rates = {way: run["photos"] / run["seconds"] for way, run in best.items()}
            rows += [{"scene": name, **best[way], "times": rates[way] / rates["field"]} for way in WAYS]
            for row in rows[-3:]:
                print(line(row), flush=True)
    RESULTS.mkdir(exist_ok=True)
    machine = {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()}
    rows = earlier(machine, {row["scene"] for row in rows}) + rows
    order = [*SCENES.split(","), *(row["scene"] for row in rows)]
    rows.sort(key=lambda row: (order.index(row["scene"]), WAYS.index(row["way"])))
    document = "\n".join([HEAD, *map(line, rows)]) + "\n"
    (RESULTS / "pipeline.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    words = (
        f"{machine['cores']} cores, {machine['processor']}, Python {machine['python']}; `python benchmarks/pipeline.py`"
    )
    (RESULTS / "pipeline.md").write_text(f"{words}\n\n{document}")


HEAD = """| scene | way | photos | seconds | photos/s | faces/s | peak memory, MB | growth, MB | times the field |
|---|---|---|---|---|---|---|---|---|"""


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    s = row["seconds"]
    return (
        f"| {row['scene']} | {row['way']} | {row['photos']} | {s:.2f} | {row['photos'] / s:.2f} | "
        f"{row['faces'] / s:.2f} | {row['peak_mb']:.0f} | {row['growth_mb']:+.0f} | {row['times']:.1f} |"
    )


if __name__ == "__main__":
    main()
