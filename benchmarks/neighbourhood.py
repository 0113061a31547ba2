"""Neighbourhood attention beside dense attention with a mask, which is what plain torch offers for it.

    python benchmarks/neighbourhood.py [--threads 2] [--count 3]

At the sizes of PMRF's two finest levels for a 512 face (7 x 7 windows, 64 channels a head, float32) and one between.
Each size runs in a process of its own; there the two take turns, and what each adds to the peak memory is measured
before (ours first, since the peak never falls). The dense mask is made once and not timed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.nets.neighbourhood import neighbourhood_attention

KERNEL, DIM = 7, 64
SIZES = ((64, 4), (64, 8), (128, 4))  # tokens along a side, heads


def dense_mask(side: int) -> Tensor:
    """(side^2, side^2): 0 where a token sees another, else minus infinity."""
    place = torch.arange(side)
    first = (place - KERNEL // 2).clamp(0, side - KERNEL)[:, None]
    seen = (place >= first) & (place < first + KERNEL)
    both = seen[:, None, :, None] & seen[None, :, None, :]
    return torch.zeros(side**2, side**2).masked_fill_(~both.view(side**2, side**2), float("-inf"))


def peak() -> float:
    """The most memory this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds(run: Callable[[], Tensor]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


@torch.inference_mode()
def measure(side: int, heads: int, threads: int, count: int) -> dict[str, float]:
    """Medians of the seconds, what each adds to the peak memory in MB, and the largest difference of the outputs."""
    torch.set_num_threads(threads)
    q, k, v = torch.randn(3, 1, side, side, heads, DIM, generator=torch.Generator().manual_seed(0)).unbind(0)
    row = {"before": peak()}

    def ours() -> Tensor:
        return neighbourhood_attention(q, k, v, KERNEL)

    wanted = ours()
    row["ours_mb"] = peak() - row.pop("before")
    before = peak()
    mask = dense_mask(side)
    a, b, c = (t.flatten(1, 2).transpose(1, 2) for t in (q, k, v))

    def dense() -> Tensor:
        return F.scaled_dot_product_attention(a, b, c, attn_mask=mask).transpose(1, 2).view(q.shape)

    row["difference"] = float((dense() - wanted).abs().max())
    row["dense_mb"] = peak() - before
    times = np.array([(seconds(ours), seconds(dense)) for _ in range(count)])
    row["ours"], row["dense"] = (float(t) for t in np.median(times, axis=0))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--one", nargs=2, type=int, metavar=("SIDE", "HEADS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], args.one[1], args.threads, args.count)))
        return
    print("| tokens | heads | ours, s | dense, s | times faster | ours, MB | dense, MB | largest difference |")
    print("|---|---|---|---|---|---|---|---|")
    for side, heads in SIZES:
        command = [sys.executable, __file__, "--threads", str(args.threads), "--count", str(args.count)]
        command += ["--one", str(side), str(heads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        cells = f"{row['ours']:.3f} | {row['dense']:.3f} | {row['dense'] / row['ours']:.1f}"
        memory = f"{row['ours_mb']:.0f} | {row['dense_mb']:.0f} | {row['difference']:.1e}"
        print(f"| {side} x {side} | {heads} | {cells} | {memory} |", flush=True)


if __name__ == "__main__":
    main()
