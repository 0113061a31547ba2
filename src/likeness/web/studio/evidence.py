"""What is known of a restored face, as HTML: words first, the numbers under them."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from likeness.web.jobs import Job
from likeness.web.studio.html import MARKS, file_url, image


def verdict(words: Mapping[str, Any]) -> str:
    """The sentence with its mark, and the numbers."""
    detail = "".join(f"<li>{escape(line)}</li>" for line in words["detail"])
    numbers = f'<ul class="soft">{detail}</ul>' if detail else ""
    return (
        f'<p class="verdict {escape(words["level"])}"><span class="mark" aria-hidden="true">'
        f"{MARKS[words['level']]}</span>{escape(words['headline'])}</p>{numbers}"
    )


def crop(job: Job, item: Mapping[str, Any], number: int, kind: str, alt: str) -> str:
    """A picture of face ``number`` (from 1), with its name under it; nothing when the job has none."""
    name = item["files"].get(f"face-{number}-{kind}")
    if name is None:
        return ""
    return f"<figure>{image(file_url(job, name), alt)}<figcaption>{escape(alt)}</figcaption></figure>"


def face(job: Job, item: Mapping[str, Any], number: int) -> str:
    """One face of one result: its crops, its evidence, and how sure it is."""
    words = item["words"][number - 1]
    pair = crop(job, item, number, "before", "Before") + crop(job, item, number, "after", "After")
    samples = sum(1 for name in item["files"] if name.startswith(f"face-{number}-sample-"))
    unsure = ""
    if samples:
        pictures = crop(job, item, number, "uncertainty", "Uncertainty: bright where the samples differ")
        pictures += "".join(crop(job, item, number, f"sample-{k}", f"Sample {k}") for k in range(1, samples + 1))
        unsure = f'<div class="samples" role="group" aria-label="Samples of face {number}">{pictures}</div>'
    return (
        f'<section class="face" aria-label="Face {number}"><div class="pair">{pair}</div>'
        f'<div class="words"><h4>Face {number}</h4>{verdict(words)}</div>{unsure}</section>'
    )


def faces(job: Job, item: Mapping[str, Any]) -> str:
    """All faces of one result; those that were not asked for in one line at the end."""
    shown, rest = [], []
    for number, record in enumerate(item["faces"], 1):
        if record["status"] == "skipped":
            rest.append(f"face {number} ({escape(record['reason'])})")
        else:
            shown.append(face(job, item, number))
    left = f'<p class="soft">Left as they were: {", ".join(rest)}.</p>' if rest else ""
    return f'<div class="evidence">{"".join(shown)}</div>{left}'
