"""The top of the page: what was compared, what was found, what failed, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from likeness.study.page.words import count


def header(document: Mapping[str, Any]) -> str:
    """Title, finding, failures and facts."""
    contenders = [entry for entry in document["methods"] if not entry["baseline"]]
    photos = len(document["pictures"])
    ranking = document["rankings"][document["prefer"]]
    truth = "measured against the true pictures" if document["truth"] else "without true pictures to measure against"
    return "\n".join(
        [
            f"<header><h1>{count(len(contenders), 'method')} on {count(photos, 'photo')}</h1>",
            f'<p class="soft">{escape(truth)}; made {escape(_day(document["made"]))} by Likeness '
            f"{escape(document['likeness'])}</p>",
            f'<div class="finding"><p>{escape(ranking["sentence"])}</p>'
            f'<p class="soft">{escape(ranking["rule"])}</p></div>',
            _failed(document),
            _how(document, contenders),
            "</header>",
        ]
    )


def _day(made: str) -> str:
    return made.replace("T", " ").replace("+00:00", " UTC")


def _failed(document: Mapping[str, Any]) -> str:
    failures = document["failures"]
    if not failures:
        return ""
    items = [
        f"<li>{'<b>' + escape(one['who']) + '</b>: ' if one['who'] else ''}{escape(one['what'])}</li>"
        for one in failures
    ]
    many = len(items) > 6
    rest = f"<details><summary>{len(items) - 5} more</summary><ul>{''.join(items[5:])}</ul></details>" if many else ""
    return (
        f'<div class="failed"><b>What failed, and why</b><ul>{"".join(items[:5] if many else items)}</ul>{rest}</div>'
    )


def rankings(document: Mapping[str, Any]) -> str:
    """Which method for what: the four preferences, the chosen one first."""
    chosen = document["prefer"]
    order = [chosen, *(name for name in document["rankings"] if name != chosen)]
    parts = []
    for name in order:
        one = document["rankings"][name]
        left = "".join(f"<li>{escape(n)}: {escape(why)}</li>" for n, why in one["left_out"].items())
        left = f"<p>Not ranked:</p><ul>{left}</ul>" if left else ""
        first = [place["name"] for place in one["places"] if place["place"] == 1]
        lead = f"<b>{escape(', '.join(first))}</b>" if first else '<span class="soft">not ranked</span>'
        parts.append(
            f"<details><summary>{escape(name.title())}: {lead}</summary>"
            f'<p>{escape(one["sentence"])}</p><div class="soft">{left}<p>{escape(one["rule"])}</p></div></details>'
        )
    return f'<div class="rankings"><h3>Which method for what</h3>{"".join(parts)}</div>'


def _how(document: Mapping[str, Any], contenders: list[Mapping[str, Any]]) -> str:
    rows = []
    for entry in contenders:
        if entry["error"] is not None:
            continue
        options = ", ".join(f"{name} {value:g}" for name, value in entry["options"].items()) or "none"
        sha = entry["weights_sha256"] or ""
        rows.append(
            f'<tr><td class="text">{escape(entry["name"])}</td><td class="text">{escape(entry["method"])}</td>'
            f'<td class="text">{escape(options)}</td><td class="text">{escape(entry["precision"])}</td>'
            f'<td class="text"><code title="{escape(sha)}">{escape(sha[:12])}</code></td></tr>'
        )
    settings = "; ".join(f"{name} {_plain(value)}" for name, value in document["settings"].items())
    made = document["made_with"]
    table = (
        '<div class="scroll"><table><thead><tr><th>compared as</th><th>method</th><th>options</th><th>precision</th>'
        f"<th>sha256 of the weights</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )
    return (
        "<details><summary>Versions, weights and settings</summary>"
        f"{table if rows else ''}<p>Settings for all: {escape(settings)}.</p>"
        f"<p>Likeness {escape(document['likeness'])}, Python {escape(made['python'])}, torch {escape(made['torch'])}; "
        f"{escape(made['machine'])}. Times are of the runs that did the work.</p>"
        '<p>Everything here as data: <a href="compare.json">compare.json</a>, <a href="values.csv">values.csv</a>.</p>'
        "</details>"
    )


def _plain(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
