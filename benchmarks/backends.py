"""The built-in model by every backend for one 512 face, beside GFPGAN's network (1.2 to 1.4) in fp32, in one run.

    python benchmarks/backends.py [--threads 2] [--rounds 9] [--backends torch,compile,onnx,openvino]

Writes benchmarks/results/backends.md and .json. In each round everything runs once, so that other work on the machine
slows down all alike; times are medians over the rounds, ratios medians of the rounds' ratios. GFPGAN has random
weights: time depends on shapes, not on values. The face is the portrait in scikit-image's data, degraded.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from networks import fill
from torch import Tensor

import likeness
from likeness.backends import installed, missing, versions
from likeness.backends.check import psnr
from likeness.compute import native_bfloat16
from likeness.faces import identity_distance, load_recognizer
from likeness.methods import card, gfpgan, load, networks

RESULTS = Path(__file__).parent / "results"
SETTINGS: dict[str, dict[str, Any]] = {"posterior mean": {"steps": 1}, "shipped": {}}
YARDSTICK = "GFPGAN"


@dataclass
class Row:
    """A backend in a precision with a setting. ``psnr`` in dB and ``identity``: against torch in float32."""

    backend: str
    precision: str
    setting: str
    ms: float
    faster: float
    psnr: float | None
    identity: float
    cold: float
    cached: float


def portrait() -> Tensor:
    """(1, 3, 512, 512) in [0, 1]: a small, noisy face, enlarged."""
    from skimage import data

    face = cv2.resize(data.astronaut()[:260, 95:355], (128, 128), interpolation=cv2.INTER_AREA).astype(np.float32)
    face += np.random.default_rng(0).normal(0, 6, face.shape).astype(np.float32)
    face = cv2.resize(face, (512, 512), interpolation=cv2.INTER_CUBIC).clip(0, 255) / 255
    return torch.from_numpy(face.transpose(2, 0, 1).copy())[None]


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def variants(backends: list[str]) -> list[tuple[str, str]]:
    """Backend and precision: bfloat16 where the processor multiplies it, and what "auto" takes."""
    precisions = ["fp32", "bf16"] if native_bfloat16(torch.device("cpu")) else ["fp32"]
    found = [(b, p) for b in backends for p in precisions if (b, p) != ("onnx", "bf16")]
    return [*found, ("auto", "auto")]


def picture(batch: Tensor) -> np.ndarray:
    return batch[0].permute(1, 2, 0).numpy()


@torch.inference_mode()
def measure(backends: list[str], rounds: int) -> tuple[float, list[Row]]:
    """Milliseconds of the yardstick, and the table."""
    face, net, options = portrait(), fill(networks("gfpgan")["clean"]), card("gfpgan").choose({})
    runs: dict[Any, Callable[[], object]] = {
        YARDSTICK: lambda: gfpgan.method().run(net, face * 2 - 1, options, 0),
    }
    outputs: dict[Any, Tensor] = {}
    names: dict[tuple[str, str], tuple[str, str]] = {}
    seconds: dict[tuple[str, str], list[float]] = {}
    for variant in variants(backends):

        def get(variant: tuple[str, str] = variant) -> Any:
            restorer: Any = load("likeness", device="cpu", backend=variant[0], precision=variant[1])
            restorer.restore(face)
            return restorer

        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
            os.environ["LIKENESS_HOME"] = home
            seconds[variant] = [timed(get), timed(get)]
            restorer = get()
        precision = str(restorer.dtype).removeprefix("torch.")
        names[variant] = restorer.backend, precision
        for setting, chosen in SETTINGS.items():
            runs[variant, setting] = lambda r=restorer, o=chosen: r.restore(face, **o)
            outputs[variant, setting] = restorer.restore(face, **chosen)
        print(f"{variant[0]} {precision}: loaded", file=sys.stderr, flush=True)
    for run in runs.values():
        run()
    times = [{name: timed(run) for name, run in runs.items()} for _ in range(rounds)]
    reference = load("likeness", device="cpu", backend="torch", precision="fp32")
    recognizer, rows = load_recognizer("dlib"), []
    for setting, chosen in SETTINGS.items():
        wanted = reference.restore(face, **chosen)
        for variant in seconds:
            key, got = (variant, setting), outputs[variant, setting]
            vectors = recognizer.embed(np.stack([picture(wanted), picture(got)]))
            figure = psnr(got * 2 - 1, wanted * 2 - 1)
            label = f"auto: {names[variant][0]}" if variant[0] == "auto" else variant[0]
            rows.append(
                Row(
                    backend=label,
                    precision=names[variant][1],
                    setting=setting,
                    ms=float(np.median([t[key] for t in times])) * 1e3,
                    faster=float(np.median([t[YARDSTICK] / t[key] for t in times])),
                    psnr=None if math.isinf(figure) else figure,
                    identity=float(identity_distance(*vectors)),
                    cold=seconds[variant][0],
                    cached=seconds[variant][1],
                )
            )
    return float(np.median([t[YARDSTICK] for t in times])) * 1e3, rows


def machine(threads: int) -> dict[str, Any]:
    """What the figures depend on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    wide = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if flag in flags]
    packages = {name: found for b in installed() for name, found in versions(b).items()}
    return {
        "processor": model or platform.machine(),
        "instructions": wide,
        "cores": os.cpu_count(),
        "threads": threads,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "likeness": likeness.__version__,
        **packages,
    }


def table(facts: dict[str, Any], base: float, rows: list[Row], rounds: int) -> str:
    said = [f"{facts['processor']} ({', '.join(facts['instructions'])}), {facts['threads']} threads"]
    said += [f"{name} {facts[name]}" for name in ("torch", "onnxruntime", "openvino") if name in facts]
    lines = [
        "# Backends",
        "",
        f"One 512 face; medians of {rounds} rounds, other load {facts['load']}. {'; '.join(said)}.",
        "PSNR and identity distance: against torch in float32. Seconds until the first face is out: cold (the networks "
        "are exported) and with the exported ones in the cache.",
        "",
        "| | setting | ms | times faster than GFPGAN | PSNR, dB | identity distance | cold, s | cached, s |",
        "|---|---|---|---|---|---|---|---|",
        f"| GFPGAN's network, torch, float32 | | {base:.0f} | 1.0 | | | | |",
    ]
    for row in rows:
        figure = "equal" if row.psnr is None else f"{row.psnr:.0f}"
        lines.append(
            f"| {row.backend}, {row.precision} | {row.setting} | {row.ms:.0f} | {row.faster:.1f} | {figure} "
            f"| {row.identity:.4f} | {row.cold:.1f} | {row.cached:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--backends", default="torch,compile,onnx,openvino")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    os.environ.pop("LIKENESS_BACKEND", None)
    facts = machine(args.threads)
    base, rows = measure([b for b in args.backends.split(",") if not missing(b)], args.rounds)
    text = table(facts, base, rows, args.rounds)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "backends.md").write_text(text, encoding="utf-8")
    document = {"machine": facts, "rounds": args.rounds, "gfpgan_ms": base, "rows": [asdict(row) for row in rows]}
    (RESULTS / "backends.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
