"""``likeness authenticity``: f(x) = x and f(f(x)) = f(x), face by face."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import scenes

Command = Callable[..., scenes.Ended]


def test_a_method_that_does_nothing_is_authentic(command: Command, pattern: str, faces: Path) -> None:
    ended = command("authenticity", faces, "--aligned", "--method", "pattern:amount=0", "--json")
    assert ended.status == 0, ended.err
    document = json.loads(ended.out)
    assert len(document["faces"]) == 3
    for face in document["faces"]:
        assert [r["psnr_to_clean"] for r in face["repetitions"]] == ["inf", "inf"]
        assert [r["identity_to_clean"] for r in face["repetitions"]] == [0, 0]


def test_a_method_that_adds_something_each_time_drifts(command: Command, pattern: str, faces: Path) -> None:
    ended = command("authenticity", faces, "--aligned", "--method", "pattern", "--repeats", "3", "--json")
    for face in json.loads(ended.out)["faces"]:
        to_clean = [r["psnr_to_clean"] for r in face["repetitions"]]
        assert to_clean[0] > to_clean[1] > to_clean[2]  # farther from the clean face each time
        assert face["repetitions"][0]["psnr_to_last"] == to_clean[0]
        assert face["repetitions"][2]["psnr_to_last"] > to_clean[2]


def test_the_table_has_a_row_for_each_repetition(command: Command, pattern: str, faces: Path) -> None:
    ended = command("authenticity", faces, "--aligned", "--method", "pattern:amount=0", "--repeats", "2")
    assert "3 clean faces" in ended.out
    assert "1 x" in ended.out
    assert "2 x" in ended.out
    assert "equal" in ended.out


def test_whole_photographs_are_searched_for_faces(command: Command, pattern: str, tmp_path: Path) -> None:
    (tmp_path / "group.png").write_bytes(scenes.encoded(scenes.group(), "PNG"))
    (tmp_path / "none.png").write_bytes(scenes.encoded(scenes.landscape(), "PNG"))
    ended = command("authenticity", tmp_path, "--method", "pattern:amount=0", "--json")
    assert ended.status == 1
    assert "none.png: no face found" in ended.err
    assert [face["face"] for face in json.loads(ended.out)["faces"]] == [1, 2, 3]


@pytest.mark.parametrize("arguments", [["--repeats", "0"], ["--method", "nonsense"], ["--method", ":x=1"]])
def test_wrong_use(command: Command, pattern: str, faces: Path, arguments: list[str]) -> None:
    ended = command("authenticity", faces, "--aligned", *arguments)
    assert ended.status == 2
    assert len(ended.err.strip().splitlines()) == 1
