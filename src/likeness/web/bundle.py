"""All results of a job as one zip: the pictures, and the report with every number."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from likeness import __version__
from likeness.photo import atomic_path
from likeness.provenance import SENTENCE
from likeness.web.jobs import Job

REPORT, BUNDLE = "report.json", "bundle.zip"
SHOWN_ONLY = ("before", "after")  # kinds that are views of pictures which are in it at full depth
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same results give the same bytes


def report(job: Job) -> dict[str, Any]:
    """What ``report.json`` holds: a record for each photo and method, names as in the zip."""
    return {"likeness": __version__, "statement": SENTENCE, "notes": list(job.notes), "photos": list(job.items)}


def bundle(job: Job) -> Path:
    """The zip of an ended job, made when it is first asked for."""
    path = job.folder / BUNDLE
    if path.is_file():
        return path
    wanted = {name for item in job.items for kind, name in item["files"].items() if kind not in SHOWN_ONLY}
    with atomic_path(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(wanted):
            with job.file(name).open("rb") as source, archive.open(zipfile.ZipInfo(name, EPOCH), "w") as target:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
        text = json.dumps(report(job), indent=1, ensure_ascii=False) + "\n"
        archive.writestr(zipfile.ZipInfo(REPORT, EPOCH), text)
    job.size += path.stat().st_size
    return path
