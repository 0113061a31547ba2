"""Malformed files, read by a real process: no crash, no hang, nothing left behind, only our own errors."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from fuzz_doors import DOORS

import scenes

HANG = 10.0  # seconds
READER = Path(__file__).with_name("fuzz_reader.py")


def run(*arguments: object) -> dict[str, str]:
    """Outcome by name of the case. Raises AssertionError when the process dies or hangs, saying of what."""
    process = subprocess.Popen(
        [sys.executable, str(READER), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=scenes.environment(),
        encoding="utf-8",
        errors="replace",
    )
    lines: queue.Queue[str | None] = queue.Queue()
    errors: list[str] = []

    def listen() -> None:
        for line in process.stdout or ():
            lines.put(line.rstrip("\n"))
        lines.put(None)

    threading.Thread(target=listen, daemon=True).start()
    threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True).start()
    outcomes: dict[str, str] = {}
    name, patience = "the first", 120.0  # imports
    try:
        while True:
            line = lines.get(timeout=patience)
            if line is None:
                break
            word, _, rest = line.partition(" ")
            if word == "begin":
                name, patience = rest, 2 * HANG
            else:
                seconds, _, outcome = rest.partition(" ")
                outcomes[name] = outcome if float(seconds) < HANG else f"FAILED {seconds} seconds"
    except queue.Empty:
        process.kill()
        raise AssertionError(f"hangs: {name}") from None
    assert process.wait(30) == 0, f"died of {name}: {''.join(errors)[-2000:]}"
    return outcomes


def failures(outcomes: dict[str, str]) -> dict[str, str]:
    return {name: outcome for name, outcome in outcomes.items() if outcome.startswith("FAILED")}


def test_every_door_reads_what_is_intact() -> None:
    outcomes = run("intact")
    assert failures(outcomes) == {}
    without = set() if find_spec("av") else {"video"}
    assert {name.partition("/")[0] for name in outcomes} == set(DOORS) - without


def test_what_is_known_to_hurt() -> None:
    outcomes = run("corpus")
    assert len(outcomes) > 50
    assert failures(outcomes) == {}


def test_five_hundred_mutations() -> None:
    outcomes = run(0, 500)
    assert len(outcomes) == 500
    assert failures(outcomes) == {}
    counts = [list(outcomes.values()).count(kind) for kind in ("read", "refused")]
    assert min(counts) > 50, counts  # else the mutations are too tame or too wild to find anything


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_thousand_mutations() -> None:
    began, outcomes = time.monotonic(), {}
    for first in range(500, 20_500, 2_000):  # a new process now and then
        outcomes.update(run(first, 2_000))
    counts = {kind: list(outcomes.values()).count(kind) for kind in ("read", "refused")}
    print(f"{len(outcomes)} files, {counts}, {time.monotonic() - began:.0f} s")
    for name, outcome in failures(outcomes).items():
        print(f"{name}: {outcome}")
    assert len(outcomes) == 20_000
    assert failures(outcomes) == {}
