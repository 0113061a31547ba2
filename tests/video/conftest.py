"""Clips that several tests read, and one run over each; PyAV is in the extra ``video``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import scenes

FRAMES = 12


@dataclass(frozen=True)
class Made:
    """A clip, its restoration, and the report."""

    source: Path
    output: Path
    report: dict[str, Any]


@pytest.fixture(scope="session", params=["29.97", "variable"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """With sound, in a constant and in a variable frame rate, in three segments."""
    import clips

    from likeness.video import VideoSettings
    from likeness.video.run import restore_video

    folder = tmp_path_factory.mktemp("made")
    pts = clips.times(FRAMES, variable=request.param == "variable")
    source = clips.write(folder / "in.mp4", lambda k: clips.moved(k, 4 * FRAMES), pts)
    output = folder / "missing" / "out.mp4"
    seen: list[tuple[int, int]] = []
    report = restore_video(
        source,
        output,
        video=VideoSettings(segment=5),
        restorer=scenes.Pattern(0.2),
        preview=folder / "strip.png",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[0] == (0, FRAMES)
    assert seen[-1] == (FRAMES, FRAMES)
    return Made(source, output, report)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip with sound and without a face."""
    import clips

    path = tmp_path_factory.mktemp("plain") / "in.mp4"
    return clips.write(path, [scenes.landscape(96, 128)] * 9, clips.times(9))
