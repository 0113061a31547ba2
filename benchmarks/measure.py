"""Time and peak memory of measuring many pictures, and how much faster the second run is.

    python benchmarks/measure.py [--count 1000] [--metrics psnr,ssim,ms-ssim,identity-distance,niqe-faces,sharpness]

The pictures are one real face (the portrait in scikit-image's data) under other light, tint, mirroring and shift, each
another file, restored ones against true ones. Both runs are processes of their own with one home between them.
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
import time
from pathlib import Path

import cv2
import numpy as np

METRICS = "psnr,ssim,ms-ssim,identity-distance,niqe-faces,sharpness"


def faces(folder: Path, count: int) -> None:
    """``count`` pictures of 512 pixels, and blurred ones under the same names."""
    from skimage import data

    picture = cv2.resize(data.astronaut()[:260, 95:355], (620, 620), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(0)
    for name in ("truth", "restored"):
        (folder / name).mkdir()
    for i in range(count):
        top, left = rng.integers(0, 108, 2)
        crop = picture[top : top + 512, left : left + 512, ::-1].astype(np.float32)
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        crop = np.clip(crop * rng.uniform(0.7, 1.2, 3) + rng.normal(0, 2, crop.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "truth" / f"{i:05d}.png"), crop)
        cv2.imwrite(str(folder / "restored" / f"{i:05d}.png"), cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.5, 3)))


def run(folder: Path, metrics: str) -> tuple[float, float, dict[str, object]]:
    """Seconds, peak memory in MB of this process's largest child so far, and the document."""
    command = [sys.executable, "-m", "likeness", "measure", str(folder / "restored"), "--truth", str(folder / "truth")]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "--aligned", "--metrics", metrics, "--json"],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "LIKENESS_HOME": str(folder / "home")},
    )
    seconds = time.perf_counter() - began
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--metrics", default=METRICS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        faces(folder, args.count)
        few, memory_few, _ = run_few(folder, args)
        first, memory, one = run(folder, args.metrics)
        second, _, two = run(folder, args.metrics)
    assert one["metrics"] == two["metrics"]
    print(f"{args.count} pictures, {args.metrics}, {platform.machine()}, {os.cpu_count()} cores\n")
    print("| | seconds | per picture, ms | peak memory, MB |\n|---|---|---|---|")
    print(f"| {args.count // 10} pictures | {few:.1f} | {few / (args.count // 10) * 1e3:.0f} | {memory_few:.0f} |")
    print(f"| {args.count} pictures | {first:.1f} | {first / args.count * 1e3:.0f} | {memory:.0f} |")
    print(f"| the same again | {second:.1f} | {second / args.count * 1e3:.0f} | |")
    print(f"\nthe second run: {first / second:.1f}x faster")


def run_few(folder: Path, args: argparse.Namespace) -> tuple[float, float, dict[str, object]]:
    """A tenth of the pictures in a home of their own: memory should not grow with the number."""
    few = folder / "few"
    few.mkdir()
    for name in ("truth", "restored"):
        (few / name).mkdir()
        for path in sorted((folder / name).iterdir())[: args.count // 10]:
            (few / name / path.name).symlink_to(path)
    return run(few, args.metrics)


if __name__ == "__main__":
    main()
