"""Methods on an accelerator: time of a face and memory by method, precision and batch, one table.

    python benchmarks/gpu.py [--device cuda] [--methods likeness,gfpgan,...] [--batches 1,8,32]
                             [--variants eager,channels_last,compiled] [--precisions fp32,bf16]

With ``--device cpu`` the same code runs where there is none, to see that it works. Published networks have random
weights: time depends on shapes. Methods that iterate are left out: their networks are in benchmarks/networks.py. The
pictures go to the device and back within the time, as in the pipeline. Writes benchmarks/results/gpu.md and .json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import fill, lay_out

from likeness.compute import pick_device, pick_precision
from likeness.methods import METHODS, load
from likeness.methods.one_pass import OnePassRestorer
from likeness.pipeline.transfer import Transfer

RESULTS = Path(__file__).parent / "results"
PUBLISHED = ("gfpgan", "codeformer", "restoreformer", "restoreformer++", "vqfr", "gpen", "psfrgan", "hifacegan")


def restorer(method: str, device: torch.device, dtype: torch.dtype) -> Any:
    """The built-in method as it is, a published one with random weights."""
    if method == "likeness":
        name = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
        return load(method, device=device.type, precision=name, backend="torch")
    import importlib

    module = importlib.import_module(METHODS[method])
    nets = module.networks()
    net = fill(nets.get("net") or nets.get("clean") or next(iter(nets.values())))
    return OnePassRestorer(module.method(), net, device, dtype, "0" * 64)


def synchronised(device: torch.device) -> Callable[[], None]:
    """Wait for the device."""
    return {"cuda": torch.cuda.synchronize, "mps": getattr(torch.mps, "synchronize", lambda: None)}.get(
        device.type, lambda: None
    )


def measured(run: Callable[[], object], wait: Callable[[], None], count: int) -> float:
    """Median seconds."""
    run(), run()
    wait()
    times = []
    for _ in range(count):
        began = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


@contextlib.contextmanager
def variant(name: str, one: Any) -> Iterator[None]:
    """The network of a restorer, changed."""
    net = one.net
    if name == "channels_last":
        lay_out(net, torch.channels_last)
    elif name == "compiled":
        one.net = torch.compile(net, mode="max-autotune-no-cudagraphs" if one.device.type == "cuda" else "default")
    try:
        yield
    finally:
        one.net = net


def rows(method: str, device: torch.device, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each precision, batch and variant."""
    wait = synchronised(device)
    for precision in args.precisions.split(","):
        one = restorer(method, device, pick_precision(precision, device))
        for name in args.variants.split(","):
            with variant(name, one):
                for batch in map(int, args.batches.split(",")):
                    faces, transfer = torch.rand(batch, 3, 512, 512), Transfer(device)

                    def once(x: torch.Tensor = faces, by: Any = one, t: Transfer = transfer) -> torch.Tensor:
                        return t.back(by.restore(t.there(x)))

                    if device.type == "cuda":
                        torch.cuda.reset_peak_memory_stats()
                    seconds = measured(once, wait, args.count)
                    peak = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else None
                    yield {
                        "method": method, "precision": precision, "variant": name, "batch": batch,
                        "ms_a_face": seconds * 1000 / batch, "memory_mib": peak,
                    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--methods", default=",".join(("likeness", *PUBLISHED)))
    parser.add_argument("--precisions", default="fp32,bf16")
    parser.add_argument("--variants", default="eager,channels_last")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--count", type=int, default=9)
    args = parser.parse_args()
    device = pick_device(args.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    head = "| method | precision | variant | batch | ms a face | memory, MiB |\n|---|---|---|---|---|---|"
    print(f"{name}, torch {torch.__version__}\n\n{head}", flush=True)
    found, lines = [], []
    for method in args.methods.split(","):
        for row in rows(method, device, args):
            memory = "–" if row["memory_mib"] is None else f"{row['memory_mib']:.0f}"
            cells = (method, row["precision"], row["variant"], row["batch"], f"{row['ms_a_face']:.2f}", memory)
            lines.append(f"| {' | '.join(map(str, cells))} |")
            print(lines[-1], flush=True)
            found.append(row)
    if device.type != "cpu":  # figures of a processor belong to networks.py and backends.py
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "gpu.json").write_text(json.dumps({"device": name, "rows": found}, indent=1) + "\n")
        (RESULTS / "gpu.md").write_text(f"{name}, torch {torch.__version__}\n\n{head}\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
