"""Time of the built-in model for one 512 face, beside GFPGAN's network (1.2 to 1.4), in the same run.

    python benchmarks/speed.py [--threads 2]

GFPGAN has random weights: time depends on shapes, not on values.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from networks import fill

from likeness.methods import card, gfpgan, load, networks


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
    yardstick, options = fill(networks("gfpgan")["clean"]), card("gfpgan").choose({})
    base = median_ms(lambda: gfpgan.method().run(yardstick, face * 2 - 1, options, 0), args.count)
    print(f"{args.threads} threads, median of {args.count}\n\n| | ms | times faster |\n|---|---|---|")
    print(f"| GFPGAN, fp32 | {base:.0f} | 1.0 |")
    for precision in ("auto", "fp32"):
        restorer = load("likeness", device="cpu", precision=precision)
        name = str(restorer.dtype).removeprefix("torch.")  # type: ignore[attr-defined]
        for label, options in (("posterior mean", {"steps": 1}), ("shipped", {})):
            ms = median_ms(lambda r=restorer, o=options: r.restore(face, **o), args.count)  # type: ignore[misc]
            print(f"| likeness, {label}, {precision} ({name}) | {ms:.0f} | {base / ms:.1f} |")


if __name__ == "__main__":
    main()
