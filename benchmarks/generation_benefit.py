"""Does a refined training set help a generator (papers/001, section 4.2)? On toy scale.

    python benchmarks/generation_benefit.py --faces train-000.tar

Degrades faces mildly, refines them as ``likeness dataset refine`` does, and trains the same small unconditional
diffusion model (same first weights, batches and noise) on the clean faces (the best that could be had), on the degraded
ones as they are, and on the refined ones. What each generates is compared with the clean faces: Fréchet distance,
precision and recall, in two feature spaces that are here without a download, and FID proper where Inception's weights
are in the store. With --quick everything is so small that the figures mean nothing: it shows that the script works.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from likeness.degrade import degrade
from likeness.diffusion import diffuse, respaced_gammas, sample, seeded_noise
from likeness.measure.extractors import find_extractor
from likeness.measure.frechet import feature_statistics, frechet_distance
from likeness.measure.functional import psnr
from likeness.measure.manifold import precision_recall
from likeness.pipeline import Settings
from likeness.study.contenders import parse_contender
from likeness.study.statistics import bootstrap
from likeness.train.identity import IdentityFeatures
from likeness.train.pictures import find_pictures, read_picture
from likeness.train.refine import IDENTITY_LIMIT, refine
from likeness.weights.errors import WeightsError

WINDOW = slice(132, 484), slice(84, 436)  # rows and columns of the face, which dlib's network looks at
WIDTHS = (32, 48, 72)
COMPONENTS = 32  # principal components of the pixels
LEVELS = 16  # evaluations for each generated picture
BATCH = 16
CLEAN, AS_IT_IS, REFINED = "clean", "degraded, as they are", "degraded, then refined"
FIGURES = ("Fréchet distance", "precision", "recall")
Space = Callable[[Tensor], Tensor]
Row = dict[str, tuple[float, float, float]]  # FIGURES by feature space


class Block(nn.Module):
    """Two convolutions with the noise level added between them, and a way past them."""

    def __init__(self, inputs: int, outputs: int, level: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.GroupNorm(8, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.level = nn.Linear(level, outputs)
        self.after = nn.Sequential(nn.GroupNorm(8, outputs), nn.SiLU(), nn.Conv2d(outputs, outputs, 3, padding=1))
        self.past = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        h = self.before(x) + self.level(level)[:, :, None, None]
        return self.after(h) + self.past(x)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Every place sees every other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        found, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return x + found.transpose(1, 2).unflatten(2, x.shape[2:])  # type: ignore[no-any-return]


class Generator(nn.Module):
    """(B, 3, S, S) noisy pictures in about [-1, 1] and their levels gamma (B,) -> x0, by a U-Net."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c = WIDTHS
        self.level = nn.Sequential(nn.Linear(32, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU())
        self.enter = nn.Conv2d(12, a, 3, padding=1)
        self.down = nn.ModuleList([Block(a, a, 128), Block(a, b, 128), Block(b, c, 128)])
        self.middle = nn.ModuleList([Block(c, c, 128), Attention(c), Block(c, c, 128)])
        self.up = nn.ModuleList([Block(2 * c, c, 128), Block(c + b, b, 128), Block(b + a, a, 128)])
        self.leave = nn.Sequential(nn.GroupNorm(8, a), nn.SiLU(), nn.Conv2d(a, 12, 3, padding=1))

    def forward(self, x: Tensor, gamma: Tensor) -> Tensor:
        angle = gamma.clamp(0, 1).sqrt().asin()[:, None] * torch.arange(1, 17)
        level = self.level(torch.cat([angle.sin(), angle.cos()], dim=1))
        h = self.enter(F.pixel_unshuffle(x, 2))
        kept = []
        for i, block in enumerate(self.down):
            h = block(F.avg_pool2d(h, 2) if i else h, level)
            kept.append(h)
        h = self.middle[2](self.middle[1](self.middle[0](h, level)), level)
        for i, block in enumerate(self.up):
            h = F.interpolate(h, scale_factor=2) if i else h
            h = block(torch.cat([h, kept.pop()], dim=1), level)
        return F.pixel_shuffle(self.leave(h), 2)


def train(pictures: Tensor, steps: int, seed: int) -> nn.Module:
    """A generator of (N, 3, S, S) pictures in [-1, 1], by x0-prediction; the mean of its last weights."""
    torch.manual_seed(seed)
    net = Generator().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.98))  # type: ignore[no-untyped-call]
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    draw = torch.Generator().manual_seed(seed)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 20) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        x0 = pictures[torch.randint(len(pictures), (BATCH,), generator=draw)]
        x0 = torch.where(torch.rand((BATCH, 1, 1, 1), generator=draw) < 0.5, x0.flip(3), x0)
        gamma = (torch.rand(BATCH, generator=draw) * math.pi / 2).sin() ** 2  # even in the angle, as when it generates
        noisy = diffuse(x0, gamma, torch.randn(x0.shape, generator=draw))
        loss = F.mse_loss(net(noisy, gamma), x0)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        mean.update_parameters(net)
    return mean.eval()


@torch.inference_mode()
def generate(net: nn.Module, count: int, side: int, seed: int) -> Tensor:
    """(count, 3, side, side) pictures in [0, 1]; the same noise for each generator."""

    def predict(x_t: Tensor, gamma: float) -> Tensor:
        return net(x_t, torch.full((len(x_t),), gamma)).clamp(-1, 1)  # type: ignore[no-any-return]

    made = []
    for start in range(0, count, 64):
        seeds = [10_000 * (seed + 1) + i for i in range(start, min(count, start + 64))]
        made.append(sample(predict, respaced_gammas(LEVELS, last=0.99), seeded_noise((3, side, side), seeds)))
    return torch.cat(made).add(1).div(2)


def parts(pictures: Tensor) -> Iterator[Tensor]:
    """Sixteen at a time."""
    for start in range(0, len(pictures), 16):
        yield pictures[start : start + 16]


def feature_spaces(reference: Tensor) -> dict[str, Space]:
    """Functions from (N, 3, S, S) in [0, 1] to features (N, D), by name; the pixels' components are the reference's."""
    small = F.interpolate(reference, (32, 32), mode="area").flatten(1)
    centre = small.mean(0)
    directions = torch.linalg.svd(small - centre, full_matrices=False).Vh[:COMPONENTS]
    network = IdentityFeatures()

    def pixels(x: Tensor) -> Tensor:
        return (F.interpolate(x, (32, 32), mode="area").flatten(1) - centre) @ directions.T  # type: ignore[no-any-return]

    @torch.inference_mode()
    def identity(x: Tensor) -> Tensor:
        found = []
        for part in parts(x):
            frames = torch.zeros(len(part), 3, 512, 512)
            size = (WINDOW[0].stop - WINDOW[0].start, WINDOW[1].stop - WINDOW[1].start)
            frames[:, :, WINDOW[0], WINDOW[1]] = F.interpolate(part, size, mode="bicubic").clamp(0, 1) * 2 - 1
            found.append(network(frames)[-1])
        return torch.cat(found)

    spaces: dict[str, Space] = {f"pixels ({len(directions)} components)": pixels, "dlib's embedding": identity}
    try:
        inception = find_extractor("inception")
    except WeightsError:
        return spaces
    spaces["Inception (FID)"] = lambda x: torch.from_numpy(
        np.concatenate([inception.extract(part) for part in parts(x)])
    )
    return spaces


def compare(pictures: Tensor, spaces: dict[str, Space], truth: dict[str, Tensor]) -> Row:
    """FIGURES of pictures against the clean ones in each space."""
    row = {}
    for name, space in spaces.items():
        features = space(pictures)
        distance = frechet_distance(*feature_statistics(truth[name]), *feature_statistics(features))
        row[name] = (distance, *precision_recall(truth[name], features))
    return row


def as_seen(picture: np.ndarray, side: int) -> Tensor:
    """(512, 512, 3) uint8 -> the face as the generator sees it, (3, side, side) in [0, 1]."""
    small = cv2.resize(picture[WINDOW].astype(np.float32) / np.float32(255), (side, side), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small.transpose(2, 0, 1).copy())


def make_sets(args: argparse.Namespace, folder: Path) -> tuple[dict[str, Tensor], str]:
    """The three training sets, (N, 3, side, side) in [0, 1], and what refining did, in words."""
    entries = [one for one in find_pictures([args.faces]) if one.name.startswith(args.beginning)][: args.pictures]
    if len(entries) < 8:
        raise SystemExit(f"{args.faces} has {len(entries)} pictures that begin with {args.beginning!r}: 8 are needed")
    sets: dict[str, list[Tensor]] = {CLEAN: [], AS_IT_IS: [], REFINED: []}
    (folder / "in").mkdir()
    for i, entry in enumerate(entries):
        clean = read_picture(entry)
        soft = np.rint(degrade(clean.astype(np.float32) / np.float32(255), args.recipe, i)[0] * 255).astype(np.uint8)
        Image.fromarray(soft).save(folder / "in" / f"{i:05d}.png", compress_level=1)
        sets[CLEAN].append(as_seen(clean, args.side))
        sets[AS_IT_IS].append(as_seen(soft, args.side))
    method = parse_contender(args.method)
    settings = Settings(method.method, method.options, weights=method.weights, identity_limit=IDENTITY_LIMIT)
    summary = refine([str(folder / "in")], folder / "out", settings)
    if summary["failed"]:
        raise SystemExit(f"{len(summary['failed'])} pictures could not be refined: {summary['failed'][0]['reason']}")
    refined = find_pictures([str(folder / "out" / "refined")])
    sets[REFINED] = [as_seen(read_picture(entry), args.side) for entry in refined]
    counts = summary["counts"]
    words = (
        f"{counts['pictures']} faces degraded by `{args.recipe}`, refined with `{args.method}`: {counts['refined']} "
        f"refined, {counts['kept']} kept as they were (identity distance above {IDENTITY_LIMIT})."
    )
    return {name: torch.stack(pictures) for name, pictures in sets.items()}, words


def table(spaces: dict[str, Space], data: dict[str, Row], made: dict[str, list[Row]]) -> str:
    """Markdown: the sets themselves, and what the generators made, as mean (lowest to highest) over the seeds."""
    head = [f"{name}: {figure}" for name in spaces for figure in FIGURES]
    lines = [f"| against the clean faces | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    for name, row in data.items():
        cells = [number(value) for space in spaces for value in row[space]]
        lines.append(f"| the set itself: {name} | {' | '.join(cells)} |")
    for name, rows in made.items():
        cells = []
        for space in spaces:
            for k in range(len(FIGURES)):
                values = [row[space][k] for row in rows]
                cells.append(f"{number(np.mean(values))} ({number(min(values))} to {number(max(values))})")
        lines.append(f"| generated from: {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def number(value: float | np.floating) -> str:
    return f"{value:.3g}"


def differences(spaces: dict[str, Space], made: dict[str, list[Row]]) -> tuple[str, str]:
    """Markdown of refined minus as they are, in pairs of one seed, and the finding in words."""
    lines = [
        "| refined minus as they are | figure | difference | 95 % interval over seeds | |",
        "|---|---|---|---|---|",
    ]
    verdicts: dict[str, list[str]] = {"better": [], "worse": [], "undecided": []}
    for space in spaces:
        for k, figure in enumerate(FIGURES):
            pairs = zip(made[REFINED], made[AS_IT_IS], strict=True)
            found = bootstrap(np.array([one[space][k] - other[space][k] for one, other in pairs]))
            gain = (found.low, found.high) if k else (-found.high, -found.low)
            verdict = "better" if gain[0] > 0 else "worse" if gain[1] < 0 else "undecided"  # nan: undecided
            verdicts[verdict].append(f"{figure} ({space})")
            interval = f"{found.low:+.3g} to {found.high:+.3g}"
            lines.append(f"| {space} | {figure} | {found.value:+.3g} | {interval} | {verdict} |")
    said = [f"{verdict} in {', '.join(names)}" for verdict, names in verdicts.items() if names]
    return "\n".join(lines), f"Training on the refined set rather than the degraded one: {'; '.join(said)}."


def limits(args: argparse.Namespace, spaces: dict[str, Space], count: int) -> str:
    """What the figures do not show."""
    weights = sum(parameter.numel() for parameter in Generator().parameters())
    inception = "" if any("FID" in name for name in spaces) else " There is no FID: Inception's weights are not here."
    few = (
        f" With {args.seeds} trainings an interval is no more than their range: better and worse say that all agreed."
        if args.seeds < 6
        else ""
    )
    return (
        f"What this does not show: the generator has {weights / 1e6:.1f} million numbers, saw {args.steps * BATCH} "
        f"pictures of {args.side}x{args.side} and makes crude faces; much of what refining changes is lost at that "
        f"size. The set was degraded on purpose, all of it; in real sets a share of the pictures is soft. Fréchet "
        f"distances of {count} pictures are too high, all by about as much: compare rows, not with other tables."
        f"{inception}{few}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", required=True, help="tar or folder of aligned 512x512 faces")
    parser.add_argument("--beginning", default="hmdghoul_", help="only pictures whose names begin so")
    parser.add_argument("--pictures", type=int, default=200, help="of the training set, and as many are generated")
    parser.add_argument("--steps", type=int, default=300, help="of training")
    parser.add_argument("--side", type=int, default=32, help="pixels of a generated picture, a multiple of 8")
    parser.add_argument("--seeds", type=int, default=3, help="trainings on each set")
    parser.add_argument("--recipe", default="idm")
    parser.add_argument("--method", default="likeness:steps=1", help="that refines")
    parser.add_argument("--sheet", type=Path, help="a picture of the sets and of what was generated, as PNG")
    parser.add_argument("--quick", action="store_true", help="so small that the figures mean nothing")
    args = parser.parse_args()
    if args.quick:
        args.pictures, args.steps, args.seeds = 10, 8, 2
    if args.side < 16 or args.side % 8:
        raise SystemExit(f"--side must be a multiple of 8 from 16 on, got {args.side}")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        sets, words = make_sets(args, Path(name))
    ready = time.perf_counter()
    spaces = feature_spaces(sets[CLEAN])
    truth = {name: space(sets[CLEAN]) for name, space in spaces.items()}
    data = {name: compare(sets[name], spaces, truth) for name in (AS_IT_IS, REFINED)}
    count = len(sets[CLEAN])
    made: dict[str, list[Row]] = {name: [] for name in sets}
    shown = []
    for seed in range(args.seeds):
        for name, pictures in sets.items():
            generated = generate(train(pictures * 2 - 1, args.steps, seed), count, args.side, seed)
            made[name].append(compare(generated, spaces, truth))
            shown += [pictures[:10], generated[:10]] if seed == 0 else []
    if args.sheet:
        rows = [torch.cat(list(row), dim=2) for row in shown]
        sheet = torch.cat(rows, dim=1).permute(1, 2, 0).clamp(0, 1).numpy()
        Image.fromarray(np.rint(sheet * 255).astype(np.uint8)).resize((sheet.shape[1] * 3, sheet.shape[0] * 3)).save(
            args.sheet
        )
    fidelity = {
        name: np.mean([psnr(a.numpy(), b.numpy()) for a, b in zip(sets[name], sets[CLEAN], strict=True)])
        for name in (AS_IT_IS, REFINED)
    }
    print(
        words, " ".join(f"PSNR at {args.side}x{args.side}, {name}: {value:.1f} dB." for name, value in fidelity.items())
    )
    print(f"\n{table(spaces, data, made)}\n")
    text, finding = differences(spaces, made)
    print(f"{text}\n\n{finding}\n\n{limits(args, spaces, count)}")
    print(
        f"\n{ready - began:.0f} s to make the sets, {time.perf_counter() - ready:.0f} s to train, generate and compare."
    )
    if args.quick:
        print("--quick: these figures mean nothing.")


if __name__ == "__main__":
    main()
