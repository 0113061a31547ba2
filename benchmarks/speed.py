"""Time of the built-in model for one 512 face, beside a network of the size of GFPGAN's, in the same run.

    python benchmarks/speed.py [--threads 2]

The yardstick is a stand-in with the multiply-adds of the StyleGAN2 decoder that GFPGAN 1.4 runs at 512 (3x3
convolutions of 512, 512, 256, 128 and 64 filters at 32 to 512 pixels, two at each size), because its weights are
not ours to ship; time depends on shapes, not on values.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from likeness.methods import load


def stylegan2_like() -> nn.Module:
    """Two 3x3 convolutions at each size of a 512-pixel StyleGAN2 decoder with channel multiplier 2."""
    layers: list[nn.Module] = []
    width = 512
    for filters in (512, 512, 512, 512, 256, 128, 64):
        layers += [
            nn.Upsample(scale_factor=2),
            nn.Conv2d(width, filters, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(filters, filters, 3, padding=1),
            nn.LeakyReLU(0.2),
        ]
        width = filters
    return nn.Sequential(*layers).eval()


def median_ms(run: Callable[[], object], count: int) -> float:
    run()
    times = []
    for _ in range(count):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return float(np.median(times) * 1000)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    face = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    yardstick, start = stylegan2_like(), torch.randn(1, 512, 4, 4)
    base = median_ms(lambda: yardstick(start), args.count)
    print(f"{args.threads} threads, median of {args.count}\n\n| | ms | times faster |\n|---|---|---|")
    print(f"| decoder of GFPGAN's size, fp32 | {base:.0f} | 1.0 |")
    for precision in ("auto", "fp32"):
        restorer = load("likeness", device="cpu", precision=precision)
        name = str(restorer.dtype).removeprefix("torch.")  # type: ignore[attr-defined]
        for label, options in (("posterior mean", {"steps": 1}), ("shipped", {})):
            ms = median_ms(lambda r=restorer, o=options: r.restore(face, **o), args.count)  # type: ignore[misc]
            print(f"| likeness, {label}, {precision} ({name}) | {ms:.0f} | {base / ms:.1f} |")


if __name__ == "__main__":
    main()
