"""The study as one self-contained page: no script, nothing from the network, light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from likeness.study.identity.charts import Bar, bar_chart, histogram, roc_chart
from likeness.study.identity.finding import figure
from likeness.study.identity.verification import Roc

_NAMES = {
    "genuine": "genuine similarity",
    "impostor": "impostor similarity",
    "d_prime": "d'",
    "eer": "equal error rate",
    "tar_at_far_0.01": "TAR at FAR 1 %",
    "tar_at_far_0.001": "TAR at FAR 0.1 %",
    "rank_one": "rank-1 found",
}
_BETTER = {"genuine": "up", "impostor": "down", "eer": "down"}  # the others: up
_SHOWN = 200  # failures in the page; all are in identity.json

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2024;--soft:#5d666f;--line:#d9dee3;--back:#fff;--card:#f5f7f9;
--c0:#6b7280;--c1:#0a6ebd;--c2:#c2410c;--c3:#15803d;--c4:#8b3fc0;--c5:#b0761b;--c6:#0e7f86;--c7:#be185d}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa4ae;--line:#333b43;--back:#14181c;--card:#1d2329;
--c0:#9aa4ae;--c1:#5cb0f2;--c2:#f78a4c;--c3:#52c07a;--c4:#c792ea;--c5:#e0ae55;--c6:#4cc3ca;--c7:#f472b6}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:1100px;margin:0 auto;
padding:24px 20px 60px}h1{font-size:1.6rem;margin:0 0 4px}h2{font-size:1.15rem;margin:34px 0 8px}
p{margin:6px 0;max-width:75ch}.soft{color:var(--soft)}.finding{background:var(--card);border-left:5px solid var(--c0);
padding:12px 16px;margin:12px 0;border-radius:4px}.helped{border-color:var(--c3)}.hurt{border-color:var(--c2)}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:5px 12px 5px 0;text-align:right;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}
th{white-space:normal;min-width:4.5em;vertical-align:bottom}th:first-child,td:first-child,td.text{text-align:left}td.text{white-space:normal;overflow-wrap:anywhere}
td small{display:block;color:var(--soft)}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));
gap:18px}figure{margin:0}figcaption{font-size:.9rem;margin-bottom:4px}svg{width:100%;height:auto;display:block}
svg text{font-size:11px;fill:var(--soft)}.middle{text-anchor:middle}.end{text-anchor:end}
.grid{stroke:var(--line);stroke-width:1}.axis{stroke:var(--soft);fill:none}
.genuine,.impostor{stroke-width:1.5;fill-opacity:.35}.genuine{fill:var(--c1);stroke:var(--c1)}
.impostor{fill:var(--c2);stroke:var(--c2)}.curve,.whisker{fill:none;stroke-width:2}
.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .35em 0 1em}
"""
_STYLE += "".join(
    f".curve.c{n},.whisker.c{n}{{stroke:var(--c{n})}}.dot.c{n}{{fill:var(--c{n})}}.key.c{n}{{background:var(--c{n})}}"
    for n in range(8)
)
_STYLE += ".key.genuine{background:var(--c1)}.key.impostor{background:var(--c2)}"


def page(
    document: Mapping[str, Any], curves: Mapping[str, Roc], scores: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> str:
    """``document`` as in identity.json; the ``curves`` and the genuine and impostor ``scores`` of each contender."""
    names = list(scores)
    parts = [
        "<h1>Does restoration help face recognition?</h1>",
        f'<p class="soft">{escape(_what(document))}</p>',
        *(
            f'<p class="finding {escape(_css(one["verdict"]))}">{escape(one["text"])}</p>'
            for one in document["finding"]
        ),
        *(f'<p class="finding hurt">{escape(_failed(one))}</p>' for one in document["contenders"] if one["error"]),
        "<h2>Figures</h2>",
        _figures(document),
        "<h2>Similarity with the gallery, before and after, by camera and distance</h2>",
        _legend(names),
        f'<div class="scroll">{_bars(document, names)}</div>',
        _groups(document),
        "<h2>Verification</h2>",
        _legend(names),
        roc_chart(list(curves.items()), document["counts"]["impostor"], "Receiver operating characteristic"),
        "<h2>Scores</h2>",
        '<p><span class="key genuine"></span>same person<span class="key impostor"></span>different people</p>',
        f'<div class="charts">{_histograms(scores)}</div>',
        "<h2>How it was measured</h2>",
        *(f"<p>{escape(text)}</p>" for text in _method(document)),
        _failures(document),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
    body = "\n".join(parts)
    head += f"<title>Likeness: identity study</title><style>{_STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _what(document: Mapping[str, Any]) -> str:
    counts = document["counts"]
    text = f"{counts['people']} people, {counts['probes']} probes, {counts['gallery_pictures']} gallery pictures; "
    text += f"recogniser {document['recognizer']}, cosine similarity; Likeness {document['likeness']}. "
    text += (
        f"Scores over the {counts['probes_scored']} probes that all contenders have: {counts['genuine']} comparisons "
    )
    return text + f"of one person, {counts['impostor']} of two."


def _css(verdict: str) -> str:
    return verdict if verdict in ("helped", "hurt") else ""


def _failed(row: Mapping[str, Any]) -> str:
    return f"{row['name']} is not compared: {row['error']}"


def _estimate(value: Mapping[str, float | None] | None) -> str:
    """``0.712`` and, small, its interval."""
    if value is None or value["value"] is None:
        return "-"
    shown = figure(value["value"])
    if value["low"] is None or value["high"] is None:
        return shown
    return f"{shown}<small>{figure(value['low'])} to {figure(value['high'])}</small>"


def _figures(document: Mapping[str, Any]) -> str:
    scored = [row for row in document["contenders"] if "figures" in row]
    keys = [key for key in _NAMES if any(row["figures"][key]["value"] is not None for row in scored)]
    arrows = {"up": "\N{UPWARDS ARROW}", "down": "\N{DOWNWARDS ARROW}"}
    head = "".join(f"<th>{escape(_NAMES[key])} {arrows[_BETTER.get(key, 'up')]}</th>" for key in keys)
    rows = []
    for row in scored:
        cells = "".join(f"<td>{_estimate(row['figures'][key])}</td>" for key in keys)
        rows.append(f"<tr><td>{escape(row['name'])}</td>{cells}</tr>")
        if row["changes"]:
            cells = "".join(f"<td>{_estimate(row['changes'][key])}</td>" for key in keys)
            rows.append(f'<tr class="soft"><td>&emsp;change</td>{cells}</tr>')
    return f'<div class="scroll"><table><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'


def _place(row: Mapping[str, Any]) -> str:
    words = [row["camera"] or "", f"{row['distance_m']:.2f} m" if row["distance_m"] else ""]
    return " ".join(filter(None, words)) or "all"


def _bars(document: Mapping[str, Any], names: Sequence[str]) -> str:
    groups: dict[str, list[Bar]] = {}
    for row in document["groups"]:
        bars = groups.setdefault(_place(row), [(row["genuine_before"], row["before_low"], row["before_high"])])
        bars.append((row["genuine_after"], row["after_low"], row["after_high"]))
    if not groups:
        direct = document["contenders"][0]["figures"]["genuine"]
        groups = {"all": [(direct["value"], direct["low"], direct["high"])]}
    return bar_chart(list(groups.items()), "mean genuine similarity", "Similarity before and after by camera")


def _groups(document: Mapping[str, Any]) -> str:
    rows = []
    for row in document["groups"]:
        cells = []
        for value, prefix in (("genuine_before", "before"), ("genuine_after", "after"), ("change", "change")):
            estimate = {"value": row[value], "low": row[f"{prefix}_low"], "high": row[f"{prefix}_high"]}
            cells.append(f"<td>{_estimate(estimate)}</td>")
        names = f"<td>{escape(_place(row))}</td><td class='text'>{escape(row['contender'])}</td>"
        rows.append(f"<tr>{names}<td>{row['probes']}</td>{''.join(cells)}</tr>")
    head = "<tr><th>camera</th><th>restored by</th><th>probes</th><th>before</th><th>after</th><th>change</th></tr>"
    return f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>' if rows else ""


def _legend(names: Sequence[str]) -> str:
    keys = (f'<span class="key c{n % 8}"></span>{escape(name)}' for n, name in enumerate(names))
    return f"<p>{''.join(keys)}</p>"


def _histograms(scores: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str:
    everything = np.concatenate([part for pair in scores.values() for part in pair])
    low, high = float(everything.min()), float(everything.max())
    limits = (low - 0.01, high + 0.01)
    charts = []
    for name, (genuine, impostor) in scores.items():
        chart = histogram(genuine, impostor, limits, f"Scores of {name}")
        charts.append(f"<figure><figcaption>{escape(name)}</figcaption>{chart}</figure>")
    return "".join(charts)


def _method(document: Mapping[str, Any]) -> list[str]:
    counts, interval = document["counts"], document["interval"]
    faces = f"Faces were found by {document['detector']} in the degraded probes; the restored ones are cut there, too."
    if document["aligned"]:
        faces = "The pictures were taken as aligned faces."
    lost = counts["probes"] - counts["probes_with_a_face"]
    faces += f" In {lost} of {counts['probes']} probes no face could be used." if lost else ""
    intervals = (
        f"Intervals ({round(100 * interval['level'])} %) are percentiles of {interval['resamples']} bootstrap draws of "
        "people; a change is the difference of the same draw before and after. Its interval says whether a change was "
        "shown; two overlapping intervals do not say that there is none."
    )
    gallery = (
        "Gallery pictures are never restored. Of several gallery pictures of a person the mean direction counts. "
        "The gallery of rank-1 identification stays whole when people are drawn."
    )
    if document["layout"] == "pairs":
        gallery = "Picture b of a pair is never restored. Identification is not defined for pairs."
    return [faces, gallery, intervals, *document["notices"]]


def _failures(document: Mapping[str, Any]) -> str:
    failures = document["failures"]
    if not failures:
        return ""
    rows = "".join(
        f"<tr><td>{escape(one['what'])}</td><td class='text'>{escape(one['reason'])}</td></tr>"
        for one in failures[:_SHOWN]
    )
    more = f"<p>{len(failures) - _SHOWN} more are in identity.json.</p>" if len(failures) > _SHOWN else ""
    return (
        f"<h2>What failed</h2><div class='scroll'><table><tr><th>what</th><th>why</th></tr>{rows}</table></div>{more}"
    )
