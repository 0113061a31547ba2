"""The whole study: planted data where restoration helps, hurts or does nothing; what is lost; the page; the command.

In the planted data a person is a colour. The probes are paler and noisy; the recogniser sees the colour.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenes
from likeness import parts, pipeline
from likeness.photo import PhotoError
from likeness.pipeline import Settings
from likeness.study.contenders import parse_contenders
from likeness.study.identity.comparisons import Figures
from likeness.study.identity.finding import finding
from likeness.study.identity.layouts import LAYOUTS
from likeness.study.identity.run import Study, run_identity
from likeness.study.identity.verification import roc
from likeness.study.statistics import Estimate

PEOPLE = 8
HELP, HURT, NOTHING = "pattern:steps=1", "pattern:steps=2", "pattern:steps=3"


class Colours:
    """A recogniser of colours."""

    name, dimensions, same_person = "colours", 3, 0.55

    def embed(self, crops: np.ndarray) -> np.ndarray:
        return np.asarray(crops[:, ::32, ::32].mean(axis=(1, 2), dtype=np.float64) - 0.5)


def colour(person: int) -> np.ndarray:
    """Of the circle of colours around grey, (3,) in [0, 1]."""
    angle = 2 * np.pi * (person + 0.5) / PEOPLE
    u, v = np.array([1, -1, 0]) / np.sqrt(2), np.array([1, 1, -2]) / np.sqrt(6)
    return np.asarray(0.5 + 0.45 * (np.cos(angle) * u + np.sin(angle) * v))


class Painter(scenes.Pattern):
    """steps = 1: the colour of the nearest person; 2: nearly everybody's colour becomes one; 3: as it is."""

    def restore(self, crops: Any, *, seed: int = 0, **options: Any) -> Any:
        import torch

        steps = self.card.choose(options)["steps"]
        if steps == 3:
            return crops
        seen = crops[:, :, 256, 256].numpy() - 0.5
        people = np.stack([colour(k) for k in range(PEOPLE)]) - 0.5
        nearest = people[(seen @ people.T).argmax(axis=1)]
        painted = 0.5 + (nearest if steps == 1 else 0.15 * seen + 0.4 * people[0])
        return torch.from_numpy(painted.astype(np.float32))[:, :, None, None].expand_as(crops).clamp(0, 1)


@pytest.fixture
def planted(tmp_path: Path, pattern: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of people, two probes each, in two groups; and the method."""

    def load(device: Any, dtype: Any, weights: Path | None = None) -> Painter:
        painter = Painter()
        painter.device, painter.dtype = device, dtype  # type: ignore[attr-defined]
        return painter

    monkeypatch.setattr(scenes, "load", load)
    for module in (pipeline.session, parts):
        monkeypatch.setattr(module, "load_recognizer", lambda name: Colours(), raising=False)
    rng, data = np.random.default_rng(0), tmp_path / "data"
    for person in range(PEOPLE):
        folder = data / f"p{person:02d}"
        paint(folder / "gallery" / "a.png", colour(person))
        for group in ("near", "far"):
            pale = 0.5 + 0.5 * (colour(person) - 0.5) + rng.normal(0, 0.06 if group == "near" else 0.09, 3)
            paint(folder / group / "b.png", pale)
    return data


def paint(path: Path, colour_: np.ndarray, shape: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.rint(np.clip(colour_, 0, 1) * 255).astype(np.uint8)
    path.write_bytes(scenes.encoded(np.full((*shape, 3), pixels), "PNG"))


def study(data: Path, out: Path, *methods: str, kind: str = "folders", **more: Any) -> Study:
    layout = LAYOUTS[kind](data)
    settings = Settings(aligned=True, **more)
    return run_identity(layout, data, parse_contenders(methods), out, settings, Colours(), resamples=100)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def test_it_finds_what_was_planted(planted: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = study(planted, out, HELP, HURT, NOTHING)
    assert result.good
    document = json.loads((out / "identity.json").read_text(encoding="utf-8"))
    assert document == result.document
    rows = {row["name"]: row for row in document["contenders"]}
    assert list(rows) == ["direct feed", HELP, HURT, NOTHING]
    direct, helped, hurt = (rows[name]["figures"] for name in ("direct feed", HELP, HURT))
    assert document["counts"] == {
        "people": 8, "gallery_pictures": 8, "probes": 16, "probes_with_a_face": 16, "probes_scored": 16,
        "genuine": 16, "impostor": 112,
    }  # fmt: skip
    assert helped["genuine"]["value"] > direct["genuine"]["value"] > hurt["genuine"]["value"]
    assert helped["rank_one"]["value"] >= direct["rank_one"]["value"] > hurt["rank_one"]["value"]
    assert hurt["eer"]["value"] > direct["eer"]["value"]
    assert rows[HELP]["changes"]["genuine"]["low"] > 0
    assert rows[HURT]["changes"]["genuine"]["high"] < 0
    assert rows[NOTHING]["changes"]["genuine"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert rows["direct feed"]["changes"] is None
    assert direct["tar_at_far_0.001"]["value"] is None  # 112 impostors

    findings = {one["contender"]: one for one in document["finding"]}
    assert findings[HURT]["verdict"] == "hurt"
    assert "lowered" in findings[HURT]["text"]
    assert "raised" in findings[HELP]["text"]
    assert findings[NOTHING]["verdict"] == "not shown"
    assert "no difference could be shown" in findings[NOTHING]["text"]


def test_the_scores_agree_with_the_pictures(planted: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    document = study(planted, out, HELP, HURT).document
    rows = table(out / "pairs.csv")
    assert len(rows) == 16 * 2
    by_group: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        probe = planted / row["probe"]
        files = [probe, out / f"pattern_steps={row['contender'][-1]}" / restored_name(out, row, probe)]
        people = np.stack([colour(k) for k in range(PEOPLE)])
        own = int(row["person"][1:])
        for when, path in zip(("before", "after"), files, strict=True):
            seen = scenes.load_pixels(path)[0, 0] / 255 - 0.5
            known = np.rint(people * 255) / 255 - 0.5
            cosine = known @ seen / np.linalg.norm(known, axis=1) / np.linalg.norm(seen)
            others = np.delete(cosine, own)
            assert float(row[f"genuine_{when}"]) == pytest.approx(cosine[own], abs=1e-5)
            assert float(row[f"best_impostor_{when}"]) == pytest.approx(others.max(), abs=1e-5)
            assert row[f"rank_one_{when}"] == str(bool(cosine[own] > others.max())).lower()
        by_group.setdefault((row["camera"], row["contender"]), []).append(float(row["genuine_after"]))
    cameras = table(out / "cameras.csv")
    assert [(row["camera"], row["contender"]) for row in cameras] == [
        ("far", HELP), ("far", HURT), ("near", HELP), ("near", HURT),
    ]  # fmt: skip
    for row in cameras:
        assert float(row["genuine_after"]) == pytest.approx(
            np.mean(by_group[row["camera"], row["contender"]]), abs=1e-6
        )
        assert float(row["after_low"]) <= float(row["genuine_after"]) <= float(row["after_high"])
        assert row["probes"] == "8"
    assert len(document["groups"]) == 4


def restored_name(out: Path, row: dict[str, str], probe: Path) -> str:
    report = scenes.read_report(out / f"pattern_steps={row['contender'][-1]}")
    return next(photo["output"] for photo in report["photos"] if photo["input"] == str(probe))


def test_running_again_restores_nothing_and_says_the_same(planted: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = study(planted, out, HELP).document
    before, page = times(out), (out / "index.html").read_bytes()
    assert len(before) == 16
    assert study(planted, out, HELP).document == first
    assert times(out) == before
    assert (out / "index.html").read_bytes() == page


def test_a_probe_that_cannot_be_used_is_counted_and_listed(planted: Path, tmp_path: Path) -> None:
    paint(planted / "p03" / "near" / "b.png", colour(3), (8, 10))  # no aligned face
    (planted / "p05" / "far" / "b.png").write_bytes(b"no picture")
    result = study(planted, tmp_path / "out", HELP)
    assert not result.good
    counts = result.document["counts"]
    assert (counts["probes"], counts["probes_with_a_face"], counts["probes_scored"]) == (16, 14, 14)
    reasons = {Path(one["file"]).parts[-3]: one["reason"] for one in result.document["failures"]}
    assert set(reasons) == {"p03", "p05"}
    assert "square" in reasons["p03"]
    rows = {(row["person"], row["camera"]): row for row in table(tmp_path / "out" / "pairs.csv")}
    assert len(rows) == 16
    assert rows["p03", "near"]["status"] == "not scored"
    assert "square" in rows["p03", "near"]["reason"]
    assert rows["p03", "near"]["genuine_before"] == ""
    assert "2 of 16 probes" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_scores_are_over_the_probes_that_all_contenders_have(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = Painter.restore

    def sometimes(self: Painter, crops: Any, **options: Any) -> Any:
        if self.card.choose({"steps": options["steps"]})["steps"] == 2 and float(crops[0, 0].mean()) > 0.6:
            raise RuntimeError("out of memory")
        return restore(self, crops, **options)

    monkeypatch.setattr(Painter, "restore", sometimes)
    result = study(planted, tmp_path / "out", HELP, HURT)
    rows = {row["name"]: row for row in result.document["contenders"]}
    lost = rows[HURT]["not_scored"]
    assert 0 < lost < 16
    assert rows[HELP]["not_scored"] == 0
    assert result.document["counts"]["probes_scored"] == 16 - lost
    assert not result.good
    lines = [row for row in table(tmp_path / "out" / "pairs.csv") if row["status"] == "not scored"]
    assert len(lines) == 2 * lost
    assert {row["reason"] for row in lines if row["contender"] == HELP} == {f"{HURT} does not have it"}
    assert {row["reason"] for row in lines if row["contender"] == HURT} == {"pattern failed: out of memory"}


def test_a_contender_that_cannot_run_is_a_row_with_its_reason(planted: Path, tmp_path: Path) -> None:
    result = study(planted, tmp_path / "out", "gfpgan", HELP)
    assert not result.good
    rows = {row["name"]: row for row in result.document["contenders"]}
    assert "likeness models pull" in rows["gfpgan"]["error"]
    assert "figures" not in rows["gfpgan"]
    assert rows[HELP]["error"] is None
    assert result.document["counts"]["probes_scored"] == 16
    failed = [row for row in table(tmp_path / "out" / "pairs.csv") if row["contender"] == "gfpgan"]
    assert len(failed) == 16
    assert {row["status"] for row in failed} == {"not scored"}
    assert "gfpgan is not compared" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_a_person_without_a_usable_gallery_is_named(planted: Path, tmp_path: Path) -> None:
    (planted / "p00" / "gallery" / "a.png").write_bytes(b"no picture")
    result = study(planted, tmp_path / "out", NOTHING)
    counts = result.document["counts"]
    assert (counts["people"], counts["probes_scored"]) == (7, 14)
    what = [(one["what"], Path(one["file"]).name) for one in result.document["failures"]]
    assert what == [("gallery", "a.png"), ("probe", "b.png"), ("probe", "b.png")]


def test_pairs(planted: Path, tmp_path: Path) -> None:
    lines = ["a,b,same,group"]
    for k in range(PEOPLE):
        for group in ("near", "far"):
            lines.append(f"p{k:02d}/{group}/b.png,p{k:02d}/gallery/a.png,1,{group}")
            lines += [
                f"p{k:02d}/{group}/b.png,p{(k + j) % PEOPLE:02d}/gallery/a.png,0,{group}" for j in range(1, PEOPLE)
            ]
    file = planted / "pairs.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    one = study(file, tmp_path / "pairs", HURT, kind="pairs").document
    whole = study(planted, tmp_path / "folders", HURT).document
    for a, b in zip(one["contenders"], whole["contenders"], strict=True):
        assert a["figures"].pop("rank_one")["value"] is None
        b["figures"].pop("rank_one")
        for name, estimate in a["figures"].items():  # the same comparisons, people in the same order
            assert estimate == pytest.approx(b["figures"][name], abs=1e-9), name
    assert one["counts"]["impostor"] == 112


def test_what_cannot_be_studied_is_one_line(planted: Path, tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="outside"):
        study(planted, planted / "out", HELP)
    for path in planted.rglob("b.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(PhotoError, match="no probe could be used"):
        study(planted, tmp_path / "out", HELP)


def figures(genuine: Estimate, tar: Estimate, impostor: Estimate, change: bool) -> Figures:
    """With only these changes, or values."""
    unknown = Estimate(math.nan, math.nan, math.nan)
    known = {"genuine": genuine, "impostor": impostor, "tar_at_far_0.01": tar, "eer": unknown}
    curve = roc(np.ones(1), np.zeros(1))
    values = dict.fromkeys(known, Estimate(0.7, 0.6, 0.8))
    return Figures(values, known if change else None, [], [], curve)


UP, DOWN, FLAT = Estimate(0.02, 0.01, 0.03), Estimate(-0.02, -0.03, -0.01), Estimate(0.01, -0.01, 0.03)


@pytest.mark.parametrize(
    ("genuine", "tar", "impostor", "verdict", "words"),
    [
        (UP, UP, FLAT, "helped", "raised the mean genuine similarity from 0.700 to 0.700"),
        (DOWN, DOWN, FLAT, "hurt", "(95 % interval of the change -0.030 to -0.010)"),
        (FLAT, FLAT, FLAT, "not shown", "no difference could be shown"),
        (DOWN, FLAT, FLAT, "not shown", "it did not help"),
        (UP, FLAT, UP, "not shown", "different people became more alike"),
        (UP, DOWN, UP, "hurt", "it hurt recognition"),
        (FLAT, UP, DOWN, "helped", "different people became less alike"),
    ],
)
def test_the_finding_follows_from_the_intervals(
    genuine: Estimate, tar: Estimate, impostor: Estimate, verdict: str, words: str
) -> None:
    found = finding("x", figures(FLAT, FLAT, FLAT, False), figures(genuine, tar, impostor, True))
    assert found["verdict"] == verdict
    assert words in found["text"]


def test_other_measures_are_told_but_do_not_make_the_verdict() -> None:
    before, after = figures(FLAT, FLAT, FLAT, False), figures(FLAT, FLAT, FLAT, True)
    assert after.changes is not None
    after.changes["eer"] = UP
    found = finding("x", before, after)
    assert found["verdict"] == "not shown"
    assert "equal error rate 0.700 -> 0.700 (worse, change 0.010 to 0.030)" in found["text"]


class Outside(HTMLParser):
    """What a page loads, and whether its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [tag] if tag in ("script", "link", "img", "iframe") else []
        self.loads += [name for name, _ in attrs if name in ("src", "href", "onload", "onclick")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone_and_states_the_finding(planted: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    document = study(planted, out, HELP, HURT).document
    text = (out / "index.html").read_text(encoding="utf-8")
    page = Outside()
    page.feed(text)
    assert page.open == []
    assert page.loads == []
    assert "http" not in text
    assert "url(" not in text
    assert "prefers-color-scheme" in text
    for one in document["finding"]:
        assert one["text"] in page.text
    assert len(re.findall("<svg ", text)) == 2 + 3  # bars, ROC, a histogram each
    assert "nan" not in re.sub(r"<style>.*?</style>", "", text)


def test_names_in_the_page_are_text(planted: Path, tmp_path: Path) -> None:
    (planted / "p00" / "near").rename(planted / "p00" / "<img src=x>")
    study(planted, tmp_path / "out", NOTHING)
    page = Outside()
    page.feed((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
    assert page.loads == []
    assert "<img src=x>" in page.text


# The command, with the real detector, recogniser and method


@pytest.fixture
def identity(command: Callable[..., scenes.Ended]) -> Callable[..., scenes.Ended]:
    """``likeness identity`` in this process."""
    return partial(command, "identity")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two "people", the portrait and its negative of a kind; one probe of the second has no face."""
    data = tmp_path / "data"
    portrait = scenes.portrait(300)
    for person, picture in (("ann", portrait), ("bob", np.ascontiguousarray(portrait[:, ::-1, ::-1]))):
        (data / person / "gallery").mkdir(parents=True)
        (data / person / "gallery" / "a.png").write_bytes(scenes.encoded(picture, "PNG"))
        blurred = scenes.on_canvas(330, 340, (picture, 10, 20))
        (data / person / "b.webp").write_bytes(scenes.encoded(blurred, "WEBP", quality=30))
    (data / "bob" / "c.jpg").write_bytes(scenes.encoded(scenes.landscape()))
    return data


def test_the_command(photographs: Path, tmp_path: Path, identity: Callable[..., scenes.Ended]) -> None:
    out = tmp_path / "out"
    arguments = ["folders", "--data", photographs, "--method", "likeness:steps=1", "--method", "gfpgan", "-o", out]
    ended = identity(*arguments, "--json")
    assert ended.status == 1  # a probe without a face, a method without weights
    document = json.loads(ended.out)
    assert document == json.loads((out / "identity.json").read_text(encoding="utf-8"))
    assert (document["recognizer"], document["detector"]) == ("dlib", "dlib")
    counts = document["counts"]
    assert (counts["probes"], counts["probes_with_a_face"], counts["probes_scored"]) == (3, 2, 2)
    assert any(line.startswith("failed: probe: ") and "no face found" in line for line in ended.lines)
    assert any(line.startswith("failed: gfpgan: ") for line in ended.lines)
    assert any(line.startswith("Restoration by likeness:steps=1 ") for line in ended.lines)
    assert "Traceback" not in ended.err
    (scored,) = (row for row in document["contenders"] if row["name"] == "likeness:steps=1")
    assert scored["unchanged"] == 0
    assert scored["figures"]["genuine"]["value"] > 0.8  # dlib's cosine of one person
    assert scored["changes"]["genuine"]["value"] != 0
    before = times(out)
    again = identity("folders", "--data", photographs, "--method", "likeness:steps=1", "-o", out)
    assert times(out) == before
    assert again.out == ""
    assert str(out / "index.html") in again.err


def test_make_then_all_is_good(tmp_path: Path, identity: Callable[..., scenes.Ended]) -> None:
    source, data, out = tmp_path / "clear", tmp_path / "data", tmp_path / "out"
    source.mkdir()
    face = np.rint(scenes.aligned_face() * 255).astype(np.uint8)
    for name, picture in (("ann", face), ("bob", np.ascontiguousarray(face[..., ::-1]))):
        for number in (1, 2):
            (source / f"{name}_{number}.png").write_bytes(scenes.encoded(picture, "PNG"))
    made = identity("make", source, "-o", data)
    assert (made.status, made.out) == (0, "")
    assert "2 people, 2 probes degraded by surveillance" in made.err
    ended = identity("folders", "--data", data, "--method", "likeness:steps=1", "--aligned", "-o", out)
    assert (ended.status, ended.out) == (0, "")
    assert (out / "index.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("folders", "--data", "nothing", "-o", "out"), "nothing: there is no such folder"),
        (("scface", "--data", ".", "-o", "out"), "no photos"),
        (("pairs", "--data", "pairs.csv", "-o", "out"), "pairs.csv: cannot be read"),
        (("folders", "--data", ".", "--method", "likeness:steps", "-o", "out"), "likeness:steps=1"),
        (("folders", "--data", ".", "--method", "a", "--method", "A", "-o", "out"), "occurs twice"),
        (("make", "nothing", "-o", "out"), "nothing"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: tuple[str, ...], words: str, tmp_path: Path, identity: Callable[..., scenes.Ended]
) -> None:
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        ended = identity(*arguments)
    finally:
        os.chdir(here)
    assert (ended.status, ended.out) == (2, "")
    assert len(ended.lines) == 1
    assert words in ended.err
