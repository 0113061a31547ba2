"""``likeness video`` as people type it: real processes, with the method "pattern" of scenes.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import scenes

av = pytest.importorskip("av", reason="needs PyAV: the extra video")

import clips  # noqa: E402


def video(*arguments: object) -> scenes.Ended:
    command = [sys.executable, str(scenes.TESTS / "scenes.py"), "video", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, env=scenes.environment(), encoding="utf-8", timeout=300, check=False
    )
    return scenes.Ended(done.returncode, done.stdout, done.stderr)


def test_all_good_is_0_and_the_report_on_standard_output(tmp_path: Path) -> None:
    source = clips.write(tmp_path / "in.mp4", lambda k: clips.moved(k, 40), clips.times(4))
    out, strip = tmp_path / "out.mp4", tmp_path / "strip.png"
    how = [
        "--method",
        "pattern",
        "--option",
        "amount=0.1",
        "--seed",
        3,
        "--smooth",
        0.2,
        "--crf",
        10,
        "--codec",
        "ffv1",
    ]
    how += ["--faces", "largest", "--min-face", 40, "--blend", 0.9, "--steps", 2, "--preview", strip, "--json"]
    ended = video(source, tmp_path / "out.mkv", *how)
    assert ended.status == 0, ended.err
    report = json.loads(ended.out)
    settings = report["settings"]
    assert settings["options"] == {"steps": 2, "amount": 0.1}
    for name, value in (("seed", 3), ("smooth", 0.2), ("codec", "ffv1"), ("faces", "largest"), ("blend", 0.9)):
        assert settings[name] == value, name
    assert report["summary"]["faces"]["restored"] == 4
    assert strip.exists()
    assert "Traceback" not in ended.err

    ended = video(source, out, "--method", "pattern")
    assert (ended.status, ended.out) == (0, "")
    assert "1 face followed, restored in 4 frames, flicker" in ended.lines[-1]
    out.write_bytes(b"mine")
    refused = video(source, out, "--method", "pattern")
    assert refused.status == 2
    assert "--overwrite" in refused.lines[-1]
    assert video(source, out, "--method", "pattern", "--overwrite").status == 0
    assert len(clips.decoded(out)) == 4


def test_a_damaged_video_is_1(tmp_path: Path) -> None:
    (tmp_path / "in.mp4").write_bytes(b"not a video" * 100)
    ended = video(tmp_path / "in.mp4", tmp_path / "out.mp4", "--method", "pattern")
    assert (ended.status, ended.out, len(ended.lines)) == (1, "", 1)
    assert "in.mp4" in ended.err
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["absent.mp4", "out.mp4"], "no such file"),
        (["in.mp4", "out.avi"], "a video ends in"),
        (["in.mp4", "out.mp4", "--method", "nonsense"], "unknown method"),
        (["in.mp4", "out.mp4", "--method", "dfdnet"], "needs landmarks"),
        (["in.mp4", "out.mp4", "--smooth", "1.5"], "smooth must be"),
        (["in.mp4", "out.mp4", "--option", "amount"], "amount"),
        (["in.mp4", "out.mp4", "--backend", "abacus"], "backend must be"),
        (["in.mp4", "out.mp4", "--faces", "none"], "faces must be"),
        (["in.mp4", "out.mp4", "--detector", "eyes"], "detector"),
    ],
)
def test_wrong_use_is_2_and_one_line(plain: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "in.mp4").write_bytes(plain.read_bytes())
    source, output, *rest = arguments
    rest = rest if "--method" in rest else [*rest, "--method", "pattern"]
    ended = video(tmp_path / source, tmp_path / output, *rest)
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended.err
    assert says in ended.err
