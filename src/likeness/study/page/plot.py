"""The trade-off as a drawing: distortion against perception, the area of a bubble is the time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from likeness.study.page.words import seconds

WIDTH, HEIGHT = 560, 390
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 28, 56
LARGEST, SMALLEST = 27.0, 4.0  # radii in units of the drawing
DISTORTION = ("psnr", "identity-distance", "identity-to-input")
PERCEPTION = ("niqe-faces", "lpips-alex", "lpips-vgg")


@dataclass(frozen=True)
class Axis:
    """A metric along a side of the drawing, turned so that what is better lies at the top and at the right."""

    facts: Mapping[str, Any]
    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where ``value`` lies in the drawing."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + (share if self.facts["higher_is_better"] else 1 - share) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """About five round values and how they are written."""
        step = 10 ** math.floor(math.log10((self.high - self.low) / 4))
        step *= next(m for m in (1, 2, 5, 10) if (self.high - self.low) / (step * m) <= 6)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [(i * step, f"{i * step:.{digits}f}") for i in range(first, last + 1)]


def trade_off(document: Mapping[str, Any]) -> str:
    """The drawing with its caption; a line that says why, when there is nothing to draw."""
    metrics = document["metrics"]
    entries = [entry for entry in document["methods"] if entry["error"] is None]
    x_name = next((name for name in DISTORTION if _drawable(entries, name)), None)
    y_name = next((name for name in PERCEPTION if _drawable(entries, name)), None)
    if x_name is None or y_name is None:
        return '<p class="soft">Not drawn: it needs a measure of distortion and one of perception (NIQE).</p>'
    shown = [entry for entry in entries if _value(entry, x_name) is not None and _value(entry, y_name) is not None]
    x = _axis(shown, x_name, metrics[x_name], LEFT, WIDTH - RIGHT)
    y = _axis(shown, y_name, metrics[y_name], HEIGHT - BOTTOM, TOP)
    times = [t for entry in shown if (t := _value(entry, "seconds")) is not None]
    unit = LARGEST / math.sqrt(max(times)) if times and max(times) > 0 else 0.0
    marks: list[str] = []
    circles = []
    for number, entry in enumerate(shown):
        cx, cy = x.at(_value(entry, x_name) or 0.0), y.at(_value(entry, y_name) or 0.0)
        time = _value(entry, "seconds")
        radius = 6.0 if entry["baseline"] else max(SMALLEST, unit * math.sqrt(time or 0))
        circles.append((cx, cy, radius))
        marks.append(_mark(entry, number, (x, x_name), (y, y_name), (cx, cy, radius), time))
    labels = _labels([entry["name"] for entry in shown], circles)
    label = f"{metrics[x_name]['title']} against {metrics[y_name]['title']} for each method"
    return (
        f'<figure class="plot"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'{_frame(x, y)}{"".join(marks)}{labels}</svg><figcaption class="soft">Better is towards the top right. The '
        f"area of a bubble is the time per face{_largest(shown, times)}; the square is the input as it was. Thin bars: "
        "95 % intervals.</figcaption></figure>"
    )


def _largest(shown: Sequence[Mapping[str, Any]], times: Sequence[float]) -> str:
    if not times:
        return ""
    slowest = max(shown, key=lambda entry: _value(entry, "seconds") or 0.0)
    return f" (the largest: {escape(slowest['name'])}, {seconds(max(times))})"


def _drawable(entries: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(not entry["baseline"] and _value(entry, name) is not None for entry in entries)


def _value(entry: Mapping[str, Any], name: str) -> float | None:
    value = entry["scores"].get(name, {}).get("value")
    if value is None and name == "identity-to-input" and entry["baseline"]:
        return 0.0
    return float(value) if isinstance(value, float | int) else None


def _interval(entry: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    interval = entry["scores"].get(name, {}).get("interval")
    return None if interval is None else (float(interval[0]), float(interval[1]))


def _axis(shown: Sequence[Mapping[str, Any]], name: str, facts: Mapping[str, Any], start: float, end: float) -> Axis:
    values = [v for entry in shown if (v := _value(entry, name)) is not None]
    values += [v for entry in shown for v in _interval(entry, name) or ()]
    low, high = min(values), max(values)
    margin = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis(facts, low - margin, high + margin, start, end)


def _frame(x: Axis, y: Axis) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>']
    for value, text in x.ticks():
        at = x.at(value)
        parts.append(f'<path class="grid" d="M{at:.1f} {TOP}V{bottom}"/>')
        parts.append(f'<text class="middle" x="{at:.1f}" y="{bottom + 18}">{text}</text>')
    for value, text in y.ticks():
        at = y.at(value)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{right}"/>')
        parts.append(f'<text class="end" x="{LEFT - 8}" y="{at + 4:.1f}">{text}</text>')
    parts.append(f'<text class="end title" x="{right}" y="{HEIGHT - 10}">better {escape(_side(x))} →</text>')
    parts.append(f'<text class="title" x="8" y="{TOP - 10}">↑ better {escape(_side(y))}</text>')
    return "".join(parts)


def _side(axis: Axis) -> str:
    return f"{axis.facts['title']}{', ' + axis.facts['unit'] if axis.facts['unit'] else ''}"


def _mark(
    entry: Mapping[str, Any],
    number: int,
    across: tuple[Axis, str],
    up: tuple[Axis, str],
    circle: tuple[float, float, float],
    time: float | None,
) -> str:
    """The bars and the bubble of one method; the tooltip says its figures."""
    (x, x_name), (y, y_name), (cx, cy, radius) = across, up, circle
    css = "c-input" if entry["baseline"] else f"c{(number - 1) % 8}"
    bars = ""
    if (span := _interval(entry, x_name)) is not None:
        bars += f'<path class="bar" d="M{x.at(span[0]):.1f} {cy:.1f}H{x.at(span[1]):.1f}"/>'
    if (span := _interval(entry, y_name)) is not None:
        bars += f'<path class="bar" d="M{cx:.1f} {y.at(span[0]):.1f}V{y.at(span[1]):.1f}"/>'
    words = ", ".join(f"{a.facts['title']} {_value(entry, name):.4g}" for a, name in (across, up))
    words = f"{entry['name']}: {words}"
    words += f", {seconds(time)} per face" if time is not None else ""
    shape = f'<circle class="bubble" cx="{cx:.1f}" cy="{cy:.1f}" r="{radius:.1f}"/>'
    if entry["baseline"]:
        shape = f'<rect class="bubble" x="{cx - 6:.1f}" y="{cy - 6:.1f}" width="12" height="12"/>'
    return f'<g class="{css}"><title>{escape(words)}</title>{shape}{bars}</g>'


def _labels(names: Sequence[str], circles: Sequence[tuple[float, float, float]]) -> str:
    """Each name beside its bubble, where it covers neither a bubble nor another name, if there is such a place."""
    taken = [(cx - r, cy - r, cx + r, cy + r) for cx, cy, r in circles]
    parts = []
    for name, (cx, cy, r) in zip(names, circles, strict=True):
        text = name if len(name) <= 34 else name[:33] + "…"
        wide, high = 7.8 * len(text), 14
        choices = [
            (cx + r + 6, cy - r / 2 - high),
            (cx + r + 6, cy + r / 2),
            (cx - r - 6 - wide, cy - r / 2 - high),
            (cx - r - 6 - wide, cy + r / 2),
            (cx - wide / 2, cy - r - 6 - high),
            (cx - wide / 2, cy + r + 6),
            (cx + r + 6, cy - r - 2 * high),
            (cx + r + 6, cy + r + high),
        ]
        boxes = [(left, top, left + wide, top + high) for left, top in choices]
        boxes = [b for b in boxes if b[0] >= LEFT + 2 and b[2] <= WIDTH - 2 and b[1] >= 2 and b[3] <= HEIGHT - BOTTOM]
        box = min(boxes or [(cx, cy - high, cx + wide, cy)], key=lambda b: sum(_overlap(b, other) for other in taken))
        taken.append(box)
        parts.append(f'<text class="label" x="{box[0]:.1f}" y="{box[3] - 3:.1f}">{escape(text)}</text>')
    return "".join(parts)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
