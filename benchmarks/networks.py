"""Time and memory of every published network for one 512 face, and what precision and layout change.

    python benchmarks/networks.py [--methods gfpgan,codeformer] [--threads 2] [--variants channels_last,bf16,compiled]

Methods that iterate are measured by one evaluation of each of their networks.

Weights are random (time depends on shapes, not on values). Each network runs in a process of its own, so that the
peak memory is its own; the variants run beside the plain one in that process, and their difference is the largest of
any pixel value, relative to the standard deviation of the plain output.
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
from evaluations import find, names
from torch import Tensor, nn

VARIANTS = ("channels_last", "bf16", "compiled")


def fill(net: nn.Module) -> nn.Module:
    """Random weights that keep activations near one."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if not value.is_floating_point():
                continue
            if value.ndim >= 2:
                value.normal_(0, float(np.prod(value.shape[1:])) ** -0.5, generator=rng)
            elif name.endswith(("weight_u", "weight_v")):  # of spectral norm: zeros would divide by zero
                value.normal_(generator=rng).div_(value.norm())
            else:
                value.fill_(1.0 if name.endswith(("weight", "running_var")) else 0.0)
    return net.eval().requires_grad_(False)


def median_seconds(run: Callable[[], Tensor], count: int) -> tuple[float, Tensor]:
    out = run()
    times = []
    for _ in range(count):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return float(np.median(times)), out


def lay_out(net: nn.Module, layout: torch.memory_format) -> None:
    """Put the weights of all plain convolutions in that order; modulated ones have other shapes and make their own."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.to(memory_format=layout)  # type: ignore[call-overload]


@torch.inference_mode()
def measure(name: str, threads: int, count: int, variants: list[str]) -> dict[str, object]:
    """Seconds of the plain network and its peak memory in MB, then of each variant with its difference."""
    torch.set_num_threads(threads)
    net, call = find(name)
    fill(net)
    face = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def plain(x: Tensor = face) -> Tensor:
        return call(net, x).float()

    seconds, wanted = median_seconds(plain, count)
    row: dict[str, object] = {"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    scale = float(wanted.std()) or 1.0  # a zero convolution at the end: with made-up weights nothing comes out
    for variant in variants:
        run = plain
        if variant != "compiled":
            lay_out(net, torch.channels_last)
            run = lambda: plain(face.contiguous(memory_format=torch.channels_last))  # noqa: E731
        if variant == "compiled":
            lay_out(net, torch.contiguous_format)
            net.compile()  # in place: a method may look at its network's class
            run = plain
        try:
            with torch.autocast("cpu", torch.bfloat16, enabled=variant == "bf16"):
                taken, out = median_seconds(run, count)
        except RuntimeError as error:  # it cannot be compiled
            row[variant] = {"failed": str(error).splitlines()[0]}
            continue
        row[variant] = {"faster": seconds / taken, "difference": float((out - wanted).abs().max()) / scale}
    return row


def cell(variant: dict[str, float]) -> str:
    if "failed" in variant:
        return f" does not run: {variant['failed']} | |"
    return f" {variant['faster']:.2f} | {variant['difference']:.1e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default="", help="the beginnings of names, with commas; default: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--variants", default="")
    parser.add_argument("--one", metavar="NAME", help=argparse.SUPPRESS)
    args = parser.parse_args()
    variants = [v for v in args.variants.split(",") if v]
    if unknown := set(variants) - set(VARIANTS):
        parser.error(f"unknown variants {sorted(unknown)}; choose from {', '.join(VARIANTS)}")
    if args.one:
        print(json.dumps(measure(args.one, args.threads, args.count, variants)))
        return
    heads = "".join(f" {v}: times faster | difference |" for v in variants)
    print(f"| network | seconds | peak memory, MB |{heads}\n|---|---|---|{'---|---|' * len(variants)}")
    for name in names():
        if not name.startswith(tuple(args.methods.split(","))):
            continue
        command = [sys.executable, __file__, "--one", name, "--threads", str(args.threads)]
        command += ["--count", str(args.count), "--variants", args.variants]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        cells = "".join(cell(row[v]) for v in variants)
        print(f"| {name} | {row['seconds']:.2f} | {row['peak']:.0f} |{cells}", flush=True)


if __name__ == "__main__":
    main()
