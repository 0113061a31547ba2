"""Charts as SVG text for a page: histograms, ROC curves, bars with intervals. Colours come from the page's CSS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from likeness.study.identity.verification import Roc

_WIDTH, _HEIGHT = 420.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 60.0, 12.0, 12.0, 40.0


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers in [low, high], about ``count`` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def histogram(
    genuine: np.ndarray, impostor: np.ndarray, limits: tuple[float, float], title: str, bins: int = 40
) -> str:
    """Both distributions as shares of their own kind, over ``limits`` of the score."""
    edges = np.linspace(*limits, bins + 1)
    shares = [np.histogram(scores, edges)[0] / max(1, len(scores)) for scores in (impostor, genuine)]
    frame = _Frame(limits, (0.0, float(max(share.max() for share in shares)) * 1.08 or 1.0))
    parts = [frame.axes("cosine similarity", "share of comparisons")]
    for share, kind in zip(shares, ("impostor", "genuine"), strict=True):
        points = [frame.at(edges[0], 0)]
        for k, value in enumerate(share):
            points += [frame.at(edges[k], value), frame.at(edges[k + 1], value)]
        points.append(frame.at(edges[-1], 0))
        parts.append(f'<polygon class="{kind}" points="{_points(points)}"/>')
    return _svg(parts, title, frame.height)


def roc_chart(curves: Sequence[tuple[str, Roc]], impostors: int, title: str) -> str:
    """TAR against FAR on a logarithmic axis from 1 / ``impostors`` to 1: below, FAR is 0 or not known."""
    low = min(0.1, 10.0 ** math.floor(math.log10(1 / max(2, impostors))))
    frame = _Frame((math.log10(low), 0.0), (0.0, 1.0))
    labels = [(float(k), f"{10.0**k:g}") for k in range(round(math.log10(low)), 1)]
    parts = [frame.axes("false accept rate (FAR)", "true accept rate (TAR)", labels)]
    for number, (_, curve) in enumerate(curves):
        at_low = float(curve.tar[np.searchsorted(curve.far, low, side="right") - 1])
        points = [frame.at(math.log10(low), at_low)]
        before = at_low
        for far, tar in zip(curve.far, curve.tar, strict=True):
            if far > low:
                points += [frame.at(math.log10(far), before), frame.at(math.log10(far), tar)]
                before = tar
        parts.append(f'<polyline class="curve c{number % 8}" points="{_points(_thinned(points))}"/>')
    return _svg(parts, title, frame.height)


Bar = tuple[float | None, float | None, float | None]  # value, low, high


def bar_chart(groups: Sequence[tuple[str, Sequence[Bar]]], label: str, title: str) -> str:
    """For each named group the bars side by side, each with its interval; the axis does not start at 0, so dots."""
    known = [v for _, bars in groups for bar in bars for v in bar if v is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    margin = max(0.02, (high - low) * 0.12)
    each = max((len(bars) for _, bars in groups), default=1)
    width = max(_WIDTH, _LEFT + _RIGHT + len(groups) * (each * 16 + 26))
    frame = _Frame((0.0, float(max(1, len(groups)))), (low - margin, high + margin), width)
    parts = [frame.axes("", label, [(k + 0.5, name) for k, (name, _) in enumerate(groups)])]
    for k, (_, bars) in enumerate(groups):
        for number, (value, lower, upper) in enumerate(bars):
            if value is None:
                continue
            x, y = frame.at(k + (number + 1) / (len(bars) + 1), value)
            if lower is not None and upper is not None:
                y0, y1 = frame.at(0, lower)[1], frame.at(0, upper)[1]
                parts.append(f'<path class="whisker c{number % 8}" d="{_whisker(x, y0, y1)}"/>')
            parts.append(f'<circle class="dot c{number % 8}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>')
    return _svg(parts, title, frame.height, width)


class _Frame:
    """Where the data lie in the picture."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], width: float = _WIDTH) -> None:
        self.x, self.y, self.width, self.height = x, y, width, _HEIGHT

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Data to pixels."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            _LEFT + across * (self.width - _LEFT - _RIGHT),
            self.height - _BOTTOM - up * (self.height - _TOP - _BOTTOM),
        )

    def axes(self, below: str, beside: str, labels: Sequence[tuple[float, str]] | None = None) -> str:
        """Grid lines, numbers and names."""
        parts = []
        right, bottom = self.width - _RIGHT, self.height - _BOTTOM
        for value in ticks(*self.y):
            y = self.at(self.x[0], value)[1]
            parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right:.1f}"/>')
            parts.append(f'<text class="end" x="{_LEFT - 6}" y="{y + 4:.1f}">{value:.3g}</text>')
        for value, text in labels if labels is not None else [(v, f"{v:.3g}") for v in ticks(*self.x)]:
            x = self.at(value, self.y[0])[0]
            parts.append(f'<text class="middle" x="{x:.1f}" y="{bottom + 16:.1f}">{escape(text)}</text>')
        parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom:.1f}H{right:.1f}"/>')
        middle = (_LEFT + right) / 2
        parts.append(f'<text class="middle" x="{middle:.1f}" y="{self.height - 6:.1f}">{escape(below)}</text>')
        centre = (_TOP + bottom) / 2
        place = f'x="12" y="{centre:.1f}" transform="rotate(-90 12 {centre:.1f})"'
        parts.append(f'<text class="middle" {place}>{escape(beside)}</text>')
        return "".join(parts)


def _svg(parts: Sequence[str], title: str, height: float, width: float = _WIDTH) -> str:
    name = escape(title, quote=True)
    head = f'<svg viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:{width * 1.3:.0f}px" role="img"'
    return f'{head} aria-label="{name}"><title>{name}</title>{"".join(parts)}</svg>'


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without points that draw on the same tenth of a pixel, nor inner points of straight runs."""
    kept: list[tuple[float, float]] = []
    for x, y in ((round(x, 1), round(y, 1)) for x, y in points):
        if kept and kept[-1] == (x, y):
            continue
        if len(kept) > 1 and (kept[-1][0] == kept[-2][0] == x or kept[-1][1] == kept[-2][1] == y):
            kept[-1] = x, y
        else:
            kept.append((x, y))
    return kept


def _whisker(x: float, y0: float, y1: float) -> str:
    return f"M{x:.1f} {y0:.1f}V{y1:.1f}M{x - 4:.1f} {y0:.1f}h8M{x - 4:.1f} {y1:.1f}h8"
