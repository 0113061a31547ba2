"""Watching a job: its place in the queue, its progress in words, its end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from html import escape

from likeness.study.page.words import count
from likeness.web.engine import Engine
from likeness.web.jobs import ENDED, Job
from likeness.web.refusal import Refused
from likeness.web.studio.html import note

PAUSE = 0.4  # seconds between two looks
WITHIN = re.compile(r"face (\d+) of (\d+)(?:, step (\d+) of (\d+))?")  # of the job's words


async def follow(engine: Engine, token: str) -> AsyncIterator[tuple[Job, bool]]:
    """The job whenever something about it has changed; and whether another photo is ready. Raises Refused."""
    seen: tuple[object, ...] = ()
    ready = -1
    while True:
        job = engine.jobs.get(token)  # asking keeps it from expiring
        now = (job.state, job.done, job.step, engine.jobs.position(job), len(job.items))
        if now != seen:
            yield job, len(job.items) != ready or job.state in ENDED
            seen, ready = now, now[4]
        if now[0] in ENDED:
            return
        await asyncio.sleep(PAUSE)


def status(engine: Engine, job: Job) -> str:
    """HTML: how far it is."""
    if job.state == "waiting":
        before = engine.jobs.position(job)
        return note(f"In the queue: {count(before, 'job')} before this one" if before else "Starting …")
    if job.state == "running":
        share = 100 * _share(job)
        return (
            f'<div class="running" data-say="Restoring"><div class="bar" role="progressbar" aria-valuemin="0" '
            f'aria-valuemax="100" aria-valuenow="{share:.0f}" aria-label="Progress"><i style="width:{share:.1f}%"></i>'
            f"</div><p>{escape(job.step)}</p></div>"
        )
    if job.state == "cancelled":
        return note("Cancelled. What was ready before is shown below." if job.items else "Cancelled.")
    if job.state == "failed":
        return note(job.problem or "It could not be done", "bad")
    seconds = sum(item["seconds"] for item in job.items)
    return note(f"Done: {count(len(job.items), 'result')} in {seconds:.0f} s", "good")


def lost(refusal: Refused) -> str:
    """HTML: what a Refused says."""
    return note(refusal.message, "bad")


def _share(job: Job) -> float:
    """Of the whole job, in [0, 1]."""
    if not job.total:
        return 0.0
    within = 0.0
    if found := WITHIN.search(job.step):
        face, faces, step, steps = (int(text or 0) for text in found.groups())
        within = (face - 1 + (step / steps if steps else 0)) / faces
    return min(1.0, (job.done + within) / job.total)
