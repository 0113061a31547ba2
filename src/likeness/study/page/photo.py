"""One photo: the slider, the maps, and the grid of all results with their evidence."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from likeness.study.page import words
from likeness.study.page.pictures import Box, View, map_uri, views

TRUTH = "truth"
_IN_CAPTION = 1  # faces whose evidence is shown at once
_SHOWN_VALUES = 6


def photo_section(document: Mapping[str, Any], picture: Mapping[str, Any], number: int, folder: Path) -> str:
    """The photo ``picture`` of ``document`` as a section of the page; files are read from below ``folder``."""
    entries = [entry for entry in document["methods"] if entry["error"] is None]
    name = picture["name"]
    links = {f"m{i}": _file(entry, picture) for i, entry in enumerate(entries)}
    links[TRUTH] = picture["truth"]
    titles = {f"m{i}": entry["name"] for i, entry in enumerate(entries)} | {TRUTH: TRUTH}
    files = {key: folder / link for key, link in links.items() if link}
    shown, problems = views(files, _faces(entries, name), bool(document["settings"].get("aligned")))
    maps = {f"m{i}": _maps(entry, name, folder) for i, entry in enumerate(entries)}
    head = f'<section class="photo" id="photo-{number}"><h3>{escape(name)}</h3>'
    cells = []
    for key, title in titles.items():
        if key == TRUTH and not picture["truth"]:
            continue
        entry = None if key == TRUTH else entries[int(key[1:])]
        one = None if entry is None else entry["pictures"].get(name)
        why = problems.get(key) or (None if links[key] else (one or {}).get("reason") or "no result")
        body = _pane(shown, key, f"{name}: {_alt(title)}") if why is None else f'<p class="none">{escape(why)}</p>'
        cells.append(_cell(key, title, body, links[key], _caption(document, entry, one), maps.get(key, [])))
    usable = [key for key in titles if shown and key in shown[0].uris]
    viewer = _viewer(document, shown, usable, titles, number) if len(usable) > 1 else ""
    return f'{head}{viewer}<div class="grid">{"".join(cells)}</div></section>'


def _file(entry: Mapping[str, Any], picture: Mapping[str, Any]) -> str | None:
    if entry["baseline"]:
        return picture["input"]  # type: ignore[no-any-return]
    return entry["pictures"].get(picture["name"], {}).get("output")  # type: ignore[no-any-return]


def _alt(title: str) -> str:
    return {"input": "the input as it was", TRUTH: "the true picture"}.get(title, f"restored by {title}")


def _faces(entries: list[Mapping[str, Any]], name: str) -> list[Box]:
    """Boxes of the faces that were looked at, from the first method that has any."""
    for entry in entries:
        boxes = [f["box"] for f in entry["pictures"].get(name, {}).get("faces", ()) if f["status"] != "skipped"]
        if boxes:
            return [tuple(box) for box in boxes]
    return []


def _maps(entry: Mapping[str, Any], name: str, folder: Path) -> list[tuple[int, str]]:
    """(face, map) of a method's uncertainty; their numbers are those of the restored faces."""
    one = entry["pictures"].get(name, {})
    restored = [i for i, face in enumerate(one.get("faces", ()), 1) if face["status"] == "restored"]
    found = sorted(path for path in one.get("extra_outputs", ()) if path.endswith("-uncertainty.png"))
    numbered = [(int(path.rpartition("/face-")[2].split("-")[0]), path) for path in found]
    return [(restored[n - 1], map_uri(folder / path)) for n, path in sorted(numbered) if n <= len(restored)]


def _pane(shown: list[View], key: str, alt: str) -> str:
    images = "".join(
        f'<img data-view="{i}" width="{view.size[0]}" height="{view.size[1]}" decoding="async"'
        f'{" hidden" if i else ""} alt="{escape(alt)}{escape(", " + view.label) if len(shown) > 1 else ""}" '
        f'src="{view.uris[key]}">'
        for i, view in enumerate(shown)
    )
    return f'<div class="pane" tabindex="0"><div class="move">{images}</div></div>'


def _cell(key: str, title: str, body: str, link: str | None, caption: str, maps: list[tuple[int, str]]) -> str:
    name = escape(title)
    if link:
        name = f'<a href="{escape(words.link(link))}">{name}</a>'
    pick = ""
    if link:
        pick = (
            '<span class="pick">'
            f'<button type="button" data-pick="a" aria-label="show {escape(title)} on the left">◧</button>'
            f'<button type="button" data-pick="b" aria-label="show {escape(title)} on the right">◨</button></span>'
        )
    hidden = "".join(
        f'<img class="map" hidden data-face="{face}" alt="uncertainty of face {face}, {escape(title)}" src="{uri}">'
        for face, uri in maps
    )
    return (
        f'<figure class="cell" data-key="{key}">{body}<figcaption><div class="name"><b>{name}</b>{pick}</div>'
        f"{caption}</figcaption>{hidden}</figure>"
    )


def _caption(document: Mapping[str, Any], entry: Mapping[str, Any] | None, one: Mapping[str, Any] | None) -> str:
    """The picture's own figures, then the evidence of each face."""
    if entry is None or one is None:
        return ""
    metrics = document["metrics"]
    figures = [
        f"{escape(metrics[name]['title'])} {escape(words.figure(value, metrics[name]))}"
        for name, value in one["values"].items()
        if name in metrics and name not in ("identity-to-input", "seconds")
    ][:_SHOWN_VALUES]
    text = f'<p class="figures">{" · ".join(figures)}</p>' if figures else ""
    faces = one.get("faces", [])
    items = [f"<li>{'' if len(faces) == 1 else f'face {i}: '}{_face(face)}</li>" for i, face in enumerate(faces, 1)]
    many = len(items) > _IN_CAPTION
    if many:
        text += f"<details><summary>{escape(words.faces(faces))}</summary><ul>{''.join(items)}</ul></details>"
    elif items:
        text += f'<ul class="evidence">{"".join(items)}</ul>'
    elif not entry["baseline"]:
        text += f'<p class="evidence">{escape(one.get("reason") or "no face found")}</p>'
    problems = [*one.get("notes", ()), *one["problems"]]
    return text + "".join(f'<p class="soft">{escape(problem)}</p>' for problem in problems)


def _face(record: Mapping[str, Any]) -> str:
    css = "bad" if record["status"] == "failed" or record["same_person"] is False else "good"
    return f'<span class="{css}">{escape(words.face(record))}</span>'


def _viewer(
    document: Mapping[str, Any], shown: list[View], usable: list[str], titles: Mapping[str, str], number: int
) -> str:
    """The slider between two results, with the map of their difference and that of the right one's uncertainty."""
    best = [one["name"] for one in document["rankings"][document["prefer"]]["places"]]
    right = next((key for name in best for key in usable if titles[key] == name), usable[1])

    def options(chosen: str) -> str:
        return "".join(
            f'<option value="{key}"{" selected" if key == chosen else ""}>{escape(titles[key])}</option>'
            for key in usable
        )

    look = ""
    if len(shown) > 1:
        kinds = "".join(f'<option value="{i}">{escape(view.label)}</option>' for i, view in enumerate(shown))
        look = f'<label>Show <select class="look">{kinds}</select></label>'
    ratio = " ".join(f"{view.size[0]}/{view.size[1]}" for view in shown)
    return (
        f'<div class="viewer" data-ratios="{ratio}" hidden><div class="controls">'
        f'<label>Left <select class="a">{options(usable[0])}</select></label>'
        f'<label>Right <select class="b">{options(right)}</select></label>{look}'
        '<span class="zoom"><button type="button" class="out" aria-label="zoom out">−</button>'
        '<output class="factor" aria-label="magnification">1.0 ×</output>'
        '<button type="button" class="in" aria-label="zoom in">+</button>'
        '<button type="button" class="home">Reset</button></span></div><div class="stages">'
        '<figure class="compare"><div class="pane stage" tabindex="0" role="group" '
        f'aria-label="Photo {number}: two results, divided by a line; arrow keys move the picture when magnified">'
        '<div class="move"><img class="a" alt=""></div>'
        '<div class="over"><div class="move"><img class="b" alt=""></div></div>'
        '<span class="line"></span><span class="tag left"></span><span class="tag right"></span></div>'
        '<input class="divider" type="range" min="0" max="100" step="0.5" value="50" '
        f'aria-label="Photo {number}: the line between the left and the right picture"></figure>'
        '<figure class="difference"><div class="pane" tabindex="0"><div class="move"><canvas></canvas></div></div>'
        '<figcaption class="soft"></figcaption>'
        '<p class="hint soft" hidden>Choose a face under Show for the map of its uncertainty.</p></figure>'
        '<figure class="uncertainty" hidden><div class="pane" tabindex="0"><div class="move"><img alt=""></div></div>'
        '<figcaption class="soft"></figcaption></figure></div></div>'
    )
