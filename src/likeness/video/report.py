"""What is written beside the video: one record per track, and what was measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from likeness import __version__
from likeness.pipeline import Session
from likeness.video.errors import need_av
from likeness.video.flicker import Flicker
from likeness.video.read import Clip
from likeness.video.restore import Record, Restoration
from likeness.video.scan import Scan
from likeness.video.settings import VideoSettings

STATUSES = ("restored", "kept", "skipped", "failed")
_USED = ("method", "options", "seed", "blend", "faces", "min_face", "identity_limit", "detector", "mask", "weights")


def describe(session: Session, video: VideoSettings) -> dict[str, Any]:
    """How the video is made: everything that its pixels depend on, but the input."""
    settings = {name: value for name, value in asdict(session.settings).items() if name in _USED}
    settings.update(method=session.restorer.card.name, options=session.options)
    settings["backend"] = getattr(session.restorer, "backend", "torch")
    settings["weights"] = str(settings["weights"]) if settings["weights"] else None
    return {
        "likeness": __version__,
        "settings": {**settings, **asdict(video)},
        "weights_sha256": session.restorer.fingerprint,
        "precision": str(getattr(session.restorer, "dtype", "")).removeprefix("torch."),
        "batch": session.batch,
        "av": need_av().__version__,
    }


def key_of(described: dict[str, Any], input_sha256: str) -> str:
    """One name for this way and this input."""
    return hashlib.sha256(json.dumps([described, input_sha256], sort_keys=True).encode()).hexdigest()


def track_record(record: Record) -> dict[str, Any]:
    """One track as plain data."""
    return {
        "track": record.number,
        "first_frame": record.first,
        "last_frame": record.last,
        "frames": sum(record.counts.values()),
        **{status: record.counts[status] for status in STATUSES},
        "reasons": dict(record.reasons),
        "not_found": record.expected,
        "mean_identity_distance": round(record.distance / record.looks, 4) if record.looks else None,
        "largest_identity_distance": round(record.farthest, 4) if record.looks else None,
        "flicker": record.flicker.as_dict(),
    }


def make_report(
    described: dict[str, Any],
    names: tuple[Path, Path],
    digests: tuple[str, str, str],
    clip: Clip,
    restoration: Restoration,
    seen: Scan,
    problems: Sequence[str],
    notes: Sequence[str],
) -> dict[str, Any]:
    """The report. names: input and output. digests: the key, and the sha256 of both."""
    records = list(restoration.records.values())
    total = Flicker()
    for record in records:
        total.join(record.flicker)
    looks = sum(record.looks for record in records)
    limit = restoration.session.recognizer.same_person
    return {
        **described,
        "input": str(names[0]),
        "output": names[1].name,
        "key": digests[0],
        "input_sha256": digests[1],
        "output_sha256": digests[2],
        "video": {
            "width": clip.width,
            "height": clip.height,
            "frames": seen.frames,
            "time_base": str(clip.time_base),
            "rate": str(clip.rate) if clip.rate else None,
            "pixels": clip.layout,
        },
        "notes": list(notes),
        "problems": list(problems),
        "cuts": seen.cuts,
        "summary": {
            "tracks": len(records),
            "faces": {status: sum(record.counts[status] for record in records) for status in STATUSES},
            "mean_identity_distance": round(sum(r.distance for r in records) / looks, 4) if looks else None,
            "other_person_likely": sum(1 for r in records if r.looks and r.distance / r.looks > limit),
            "recognizer": restoration.session.recognizer.name,
            "flicker": total.as_dict(),
        },
        "moments": restoration.moments,
        "tracks": [track_record(record) for record in records],
    }


def failures(report: dict[str, Any]) -> list[str]:
    """What went wrong, in words: damage of the input, and faces that failed."""
    found = [f"{report['input']}: {problem}" for problem in report["problems"]]
    for track in report["tracks"]:
        if track["failed"]:
            reasons = "; ".join(r for r in track["reasons"])
            found.append(f"{report['input']}: face {track['track']}: {track['failed']} frames failed: {reasons}")
    return found
