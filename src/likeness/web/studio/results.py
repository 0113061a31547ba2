"""The results of a job, as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from likeness.provenance import SENTENCE
from likeness.study.page.words import faces as faces_in_short
from likeness.study.page.words import seconds
from likeness.web.jobs import ENDED, Job
from likeness.web.studio.evidence import crop, faces, verdict
from likeness.web.studio.html import file_url, note, notes, zip_url
from likeness.web.studio.slider import slider

Item = Mapping[str, Any]


def restored(job: Job) -> str:
    """Each photo with its slider, its faces' evidence and its file."""
    return _page(job, [_photo(job, item) for item in list(job.items)])


def compared(job: Job) -> str:
    """Each photo with all methods: a slider between any two, and a row for each face."""
    photos: dict[str, list[Item]] = {}
    for item in list(job.items):
        photos.setdefault(item["photo"], []).append(item)
    return _page(job, [_side_by_side(job, items) for items in photos.values()])


def _page(job: Job, sections: list[str]) -> str:
    problems = notes(list(job.notes))
    if not sections:
        return problems
    everything = ""
    if job.state in ENDED:
        everything = (
            f'<p class="all"><a class="button primary" href="{zip_url(job)}" download="likeness.zip">'
            "Download all, with the report (zip)</a></p>"
        )
    return (
        f'<div class="results">{problems}<p class="ethics">{escape(SENTENCE)}</p>{everything}{"".join(sections)}</div>'
    )


def _heading(item: Item, text: str) -> str:
    remarks = "".join(f"<li>{escape(line)}</li>" for line in item["notes"])
    return (
        f'<header><h3>{escape(item["input"])}</h3><p class="soft">{escape(text)}</p></header>'
        f"{f'<ul class=soft>{remarks}</ul>' if remarks else ''}"
    )


def _photo(job: Job, item: Item) -> str:
    files = item["files"]
    text = f"{item['method']}; {faces_in_short(item['faces'])}; {seconds(item['seconds'])}"
    if "after" not in files:
        why = note(item["reason"] or "nothing was made", "bad")
        return f'<article class="result">{_heading(item, text)}{why}</article>'
    layers = [("Before", file_url(job, files["before"])), ("After", file_url(job, files["after"]))]
    return (
        f'<article class="result">{_heading(item, text)}{slider(layers, 0, 1, item["input"])}'
        f"<p>{_download(job, item)}</p>{faces(job, item)}</article>"
    )


def _download(job: Job, item: Item, label: str = "Download this photo") -> str:
    name = item["files"]["restored"]
    saved = escape(name.rpartition("/")[2])
    return f'<a class="button" href="{file_url(job, name)}" download="{saved}">{escape(label)}</a>'


def _side_by_side(job: Job, items: list[Item]) -> str:
    first, made = items[0], [item for item in items if "after" in item["files"]]
    failed = "".join(
        note(f"{item['method']}: {item['reason']}", "bad") for item in items if "after" not in item["files"]
    )
    if not made:
        return f'<article class="result">{_heading(first, "")}{failed}</article>'
    layers = [("Before", file_url(job, made[0]["files"]["before"]))]
    layers += [(item["method"], file_url(job, item["files"]["after"])) for item in made]
    one = len(layers) == 2
    rows = "".join(_row(job, made, number) for number in range(1, len(made[0]["faces"]) + 1))
    links = " ".join(_download(job, item, f"Download {item['method']}") for item in made)
    times = ", ".join(f"{item['method']} {seconds(item['seconds'])}" for item in made)
    return (
        f'<article class="result">{_heading(first, times)}{failed}'
        f"{slider(layers, 0 if one else 1, 1 if one else 2, first['input'])}"
        f'<p class="links">{links}</p>{rows}</article>'
    )


def _row(job: Job, items: list[Item], number: int) -> str:
    if all(item["faces"][number - 1]["status"] == "skipped" for item in items):
        return f'<p class="soft">Face {number}: left as it was ({escape(items[0]["faces"][number - 1]["reason"])}).</p>'
    before = next((c for item in items if (c := crop(job, item, number, "before", "Before"))), "")
    cells = [f'<div class="cell">{before}</div>']
    for item in items:
        time = item["faces"][number - 1]["seconds"]
        took = f'<p class="soft">{seconds(time)}</p>' if time else ""
        cells.append(
            f'<div class="cell">{crop(job, item, number, "after", item["method"])}'
            f"{verdict(item['words'][number - 1])}{took}</div>"
        )
    return (
        f'<section class="row" aria-label="Face {number}"><h4>Face {number}</h4>'
        f'<div class="cells" style="--n:{len(cells)}">{"".join(cells)}</div></section>'
    )
