"""``likeness bench``: the protocol's pictures, the figures, what is missing, going on after a stop."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import scenes
from likeness.degrade import degrade
from likeness.measure import psnr

Command = Callable[..., scenes.Ended]


def run(command: Command, faces: Path, out: Path, *more: object, status: int = 0) -> dict[str, object]:
    """One run over the faces by the method that costs nothing."""
    ended = command(
        "bench", "own-folder", "--data", faces, "--aligned", "-o", out, "--method", "pattern", "--json", *more
    )
    assert ended.status == status, ended.err
    return dict(json.loads(ended.out))


def test_a_run_leaves_pictures_tables_and_figures(command: Command, pattern: str, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    document = run(command, faces, out, "--method", "pattern:amount=0")
    assert list(document["methods"]) == ["input", "pattern", "pattern:amount=0"]  # type: ignore[call-overload]
    with (out / "values.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["method"], r["picture"]) for r in rows] == [
        (m, p) for m in ("input", "pattern", "pattern:amount=0") for p in "abc"
    ]
    for row in rows[:3]:  # the input's PSNR is that of the file that lies there
        a, b = (scenes.load_pixels(folder / f"{row['picture']}.png") / 255 for folder in (out / "inputs", faces))
        assert float(row["psnr"]) == pytest.approx(psnr(a, b), abs=1e-3)
    assert rows[6]["psnr"] == rows[0]["psnr"]  # a method that does nothing gains nothing
    text = (out / "result.md").read_text(encoding="utf-8")
    assert "| pattern:amount=0 |" in text
    assert "+0.00" in text
    methods = document["methods"]
    assert methods["pattern"]["against_input"]["psnr"]["difference"] < 0  # type: ignore[index]
    assert methods["pattern"]["weights_sha256"]  # type: ignore[index]


def test_inputs_are_degraded_by_the_protocol(command: Command, pattern: str, faces: Path, tmp_path: Path) -> None:
    document = run(command, faces, tmp_path / "out", "--recipe", "sr-x8")
    assert document["protocol"]["recipe"] == "sr-x8"  # type: ignore[index]
    clean = scenes.load_pixels(faces / "a.png").astype(np.float32) / 255
    wanted = np.rint(degrade(clean, "sr-x8", 0)[0].clip(0, 1) * 255)
    assert np.abs(scenes.load_pixels(tmp_path / "out" / "inputs" / "a.png") - wanted).max() <= 1


def test_several_draws_of_each_picture(command: Command, pattern: str, faces: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run(command, faces, one, "--metrics", "psnr,consistency")
    document = run(command, faces, two, "--metrics", "psnr,consistency", "--draws", "2")
    for name in "abc":
        first, second = ((two / "inputs" / f"draw-{k}" / f"{name}.png").read_bytes() for k in (1, 2))
        assert first == (one / "inputs" / f"{name}.png").read_bytes()
        assert first != second
    with (two / "values.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "input"]
    assert [row["picture"] for row in rows] == [f"draw-{k}/{name}" for k in (1, 2) for name in "abc"]
    for row in rows:
        a = scenes.load_pixels(two / "inputs" / f"{row['picture']}.png") / 255
        b = scenes.load_pixels(faces / f"{row['picture'][-1]}.png") / 255
        assert float(row["psnr"]) == pytest.approx(psnr(a, b), abs=1e-3)
    score = document["methods"]["pattern"]["scores"]["psnr"]  # type: ignore[index]
    assert (score["count"], document["protocol"]["draws"]) == (6, 2)  # type: ignore[index]
    assert "3 pictures, recipe `idm`, seeds 0 to 1" in (two / "result.md").read_text(encoding="utf-8")
    for again, count, status in ((one, "2", 2), (two, "3", 0), (two, "1", 2)):  # else their pictures would be mixed
        more = ("--draws", count)
        ended = command("bench", "own-folder", "--data", faces, "--aligned", "-o", again, "--method", "pattern", *more)
        assert ended.status == status
        assert ("another number of draws" in ended.err) == bool(status)


def test_run_again_nothing_is_made_again_unless_it_changed(
    command: Command, pattern: str, faces: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = run(command, faces, out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    second = run(command, faces, out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.png")} == times
    assert second["methods"]["pattern"]["scores"] == first["methods"]["pattern"]["scores"]  # type: ignore[index]
    (out / "inputs" / "a.png").write_bytes(b"damaged")
    third = run(command, faces, out)
    assert third["methods"]["pattern"]["scores"] == first["methods"]["pattern"]["scores"]  # type: ignore[index]


def test_a_method_that_cannot_run_and_the_others(command: Command, pattern: str, faces: Path, tmp_path: Path) -> None:
    ended = command(
        "bench",
        "own-folder",
        "--data",
        faces,
        "--aligned",
        "-o",
        tmp_path / "o",
        "--method",
        "pattern",
        "--method",
        "gfpgan",
    )
    assert ended.status == 1
    assert "failed: gfpgan: the weights gfpgan-1.4 are not here" in ended.err
    assert "| gfpgan | – |" in ended.out
    assert "| pattern | " in ended.out


def test_faces_that_fail_are_failures_of_the_run(
    command: Command, pattern: str, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, crops: object, **_: object) -> object:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(scenes.Pattern, "restore", broken)
    ended = command("bench", "own-folder", "--data", faces, "--aligned", "-o", tmp_path / "o", "--method", "pattern")
    assert ended.status == 1
    assert "out of luck" in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], ["nonsense", "own-folder"]),
        (["own-folder"], ["--data DIR"]),
        (["celeba-test"], ["celeba-test", "3,000", "hq/"]),  # exactly what is missing, and where it goes
        (["lfw"], ["lfw-test", "1,711"]),
        (["celeba-test", "--recipe", "idm"], ["own-folder"]),
        (["celeba-test", "--draws", "2"], ["own-folder"]),
        (["own-folder", "--data", "nowhere"], ["nowhere"]),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    command: Command, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    ended = command("bench", *arguments, "-o", tmp_path / "o")
    assert ended.status == 2
    assert len(ended.err.strip().splitlines()) == 1
    assert all(word in ended.err for word in words), ended.err


def test_all_protocols_are_listed(command: Command) -> None:
    ended = command("bench", "list")
    assert {"own-folder", "celeba-test", "idm-celebahq", "rdfr-x16", "ntire"} <= {
        line.split(":")[0] for line in ended.out.splitlines()
    }
