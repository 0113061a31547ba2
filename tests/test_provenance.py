"""Restored pictures say how they were made, and are made again from that, to the last byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import likeness
import scenes
from likeness import api, pipeline, provenance
from likeness.memory import sha256
from likeness.photo import Photo, read_photo, read_statements, write_photo
from likeness.provenance import NAMESPACE, PROPERTY, ProvenanceError, read_provenance

Command = Callable[..., scenes.Ended]


class Stranger:
    """A recogniser that costs nothing."""

    name, dimensions, same_person = "stranger", 2, 0.55

    def embed(self, crops: np.ndarray) -> np.ndarray:
        return np.stack([crops.mean(axis=(1, 2, 3)), crops.std(axis=(1, 2, 3))], axis=1)


@pytest.fixture(autouse=True)
def _no_recognizer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pipeline.session, "load_recognizer", lambda name: Stranger())
    api._session.cache_clear()
    yield
    api._session.cache_clear()


def picture(number: int = 0, side: int = 64) -> np.ndarray:
    return np.random.default_rng(number).integers(60, 190, (side, side, 3), np.uint8)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """An aligned "face" in a folder with a telling name."""
    path = tmp_path / "Erna Mustermann" / "erna.png"
    path.parent.mkdir()
    path.write_bytes(scenes.encoded(picture(), "PNG"))
    return path


def restore(command: Command, *arguments: object, status: int = 0) -> scenes.Ended:
    ended = command("restore", *arguments)
    assert ended.status == status, ended.err
    return ended


def said(path: Path) -> dict[str, str]:
    (entry,) = read_statements(read_photo(path), NAMESPACE, PROPERTY)
    return entry


def test_what_is_said(command: Command, photo: Path, tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    restore(command, photo, "-o", out, "--method", pattern, "--aligned", "--seed", 7, "--option", "amount=0.3")
    facts = said(out / "erna.png")
    assert "Faces restored by Likeness" in facts["statement"]
    assert facts["likeness"] == likeness.__version__
    assert (facts["method"], facts["weights_sha256"]) == ("pattern", "0" * 64)
    assert json.loads(facts["options"]) == {"steps": 1, "amount": 0.3}
    assert (facts["seed"], facts["aligned"], facts["samples"]) == ("7", "true", "1")
    assert facts["input_sha256"] == sha256(photo)
    assert [facts[status] for status in ("restored", "kept", "failed", "skipped")] == ["1", "0", "0", "0"]
    assert {"blend", "faces", "detector", "mask", "scale", "upscaler", "precision"} <= set(facts)
    raw = (out / "erna.png").read_bytes()
    assert not any(word in raw for word in (b"Erna", b"erna", str(tmp_path).encode(), b"stranger"))
    assert scenes.read_report(out)["settings"]["provenance"] is True


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp"])
def test_the_pixels_are_the_same_without_it(command: Command, tmp_path: Path, pattern: str, suffix: str) -> None:
    source = write_photo(Photo.from_array(picture()), tmp_path / f"a{suffix}")
    usual = [source, "--method", pattern, "--aligned", "-o"]
    restore(command, *usual, tmp_path / "with")
    restore(command, *usual, tmp_path / "without", "--no-provenance")
    stated, plain = (read_photo(tmp_path / folder / source.name) for folder in ("with", "without"))
    assert np.array_equal(stated.pixels, plain.pixels)
    assert read_statements(plain, NAMESPACE, PROPERTY) == []
    assert len(read_statements(stated, NAMESPACE, PROPERTY)) == (0 if suffix == ".bmp" else 1)
    (record,) = scenes.read_report(tmp_path / "with")["photos"]
    assert [("BMP" in note) for note in record["notes"]] == ([True] if suffix == ".bmp" else [])


def test_switching_it_writes_again(command: Command, photo: Path, tmp_path: Path, pattern: str) -> None:
    out = tmp_path / "out"
    usual = [photo, "--method", pattern, "--aligned", "-o", out]
    restore(command, *usual)
    first = (out / "erna.png").read_bytes()
    restore(command, *usual, "--no-provenance")
    assert b"likeness.invalid" not in (out / "erna.png").read_bytes()
    restore(command, *usual)
    assert (out / "erna.png").read_bytes() == first


def test_nothing_is_said_of_a_photo_without_restored_face(
    command: Command, photo: Path, tmp_path: Path, pattern: str
) -> None:
    usual = [photo, "--method", pattern, "--aligned", "--identity-limit", 0, "-o"]
    restore(command, *usual, tmp_path / "one")
    assert (tmp_path / "one" / "erna.png").read_bytes() == photo.read_bytes()
    restore(command, *usual, tmp_path / "two", "--scale", 2)  # enlarged, hence written
    assert read_statements(read_photo(tmp_path / "two" / "erna.png"), NAMESPACE, PROPERTY) == []


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--seed", 41, "--option", "amount=0.37"],
        ["--steps", 3, "--blend", 0.7, "--scale", 2, "--min-face", 8, "--faces", "largest"],
        ["--precision", "bf16", "--identity-limit", 1.5],
    ],
    ids=lambda options: " ".join(map(str, options)) or "defaults",
)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_it_is_made_again_to_the_last_byte(
    command: Command, tmp_path: Path, pattern: str, suffix: str, options: list[object]
) -> None:
    source = write_photo(Photo.from_array(picture()), tmp_path / f"a{suffix}")
    restore(command, source, "-o", tmp_path / "one", "--method", pattern, "--aligned", *options)
    made = tmp_path / "one" / source.name
    assert read_statements(read_photo(source), NAMESPACE, PROPERTY) == []
    ended = restore(command, "--like", made, source, "-o", tmp_path / "two")
    assert len(ended.lines) == 1, ended.err  # the summary: nothing to be warned of
    assert (tmp_path / "two" / source.name).read_bytes() == made.read_bytes()
    other = restore(command, source, "-o", tmp_path / "three", "--method", pattern, "--aligned", "--seed", 5)
    assert other.status == 0
    assert (tmp_path / "three" / source.name).read_bytes() != made.read_bytes()


def test_the_built_in_network_again(command: Command, tmp_path: Path) -> None:
    source = tmp_path / "face.png"
    source.write_bytes(scenes.encoded(np.rint(scenes.aligned_face() * 255).astype(np.uint8), "PNG"))
    restore(command, source, "-o", tmp_path / "one", "--aligned", "--steps", 1, "--seed", 3)
    made = tmp_path / "one" / "face.png"
    restore(command, source, "--like", made, "-o", tmp_path / "two")
    assert (tmp_path / "two" / "face.png").read_bytes() == made.read_bytes()


@pytest.fixture
def made(command: Command, photo: Path, tmp_path: Path, pattern: str) -> Path:
    """A restored picture: seed 4, amount 0.3."""
    out = tmp_path / "made"
    restore(command, photo, "-o", out, "--method", pattern, "--aligned", "--seed", 4, "--option", "amount=0.3")
    return out / "erna.png"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", 0], ["seed 4", "not 0"]),  # the default, but said on purpose
        (["--option", "amount=0.2"], ["amount 0.3", "0.2"]),
        (["--fidelity", 0.5], ["no fidelity"]),
        (["--blend", 0.5], ["blend 1.0", "0.5"]),
        (["--method", "likeness"], ["method pattern", "not likeness"]),
        (["--detector", "yunet"], ["detector dlib", "yunet"]),
        (["--fallback", "likeness"], ["no fallback"]),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_what_contradicts_is_refused(
    command: Command, photo: Path, made: Path, tmp_path: Path, options: list[object], words: list[str]
) -> None:
    ended = restore(command, "--like", made, photo, "-o", tmp_path / "out", *options, status=2)
    assert len(ended.lines) == 1
    assert all(word in ended.lines[0] for word in [*words, str(made)])
    assert not (tmp_path / "out").exists()


def test_what_agrees_is_taken(command: Command, photo: Path, made: Path, tmp_path: Path) -> None:
    agreeing = ["--seed", 4, "--method", "pattern", "--aligned", "--option", "amount=0.3", "--blend", 1]
    restore(command, "--like", made, photo, "-o", tmp_path / "out", *agreeing)
    assert (tmp_path / "out" / "erna.png").read_bytes() == made.read_bytes()


def test_a_picture_that_says_nothing_is_refused(command: Command, photo: Path, tmp_path: Path, pattern: str) -> None:
    for like, word in ((photo, "does not say"), (tmp_path / "nowhere.png", "no such file")):
        ended = restore(command, "--like", like, photo, "-o", tmp_path / "out", status=2)
        assert len(ended.lines) == 1
        assert word in ended.lines[0]
        assert str(like) in ended.lines[0]
    assert not (tmp_path / "out").exists()


def test_other_weights_are_an_error(
    command: Command, photo: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes.Pattern, "fingerprint", "1" * 64)
    ended = restore(command, "--like", made, photo, "-o", tmp_path / "out", status=2)
    assert len(ended.lines) == 1
    assert all(word in ended.lines[0] for word in ("0" * 64, "1" * 64, "--weights", str(made)))
    assert not (tmp_path / "out").exists()


def test_weights_of_the_catalogue_are_found_by_their_sha256(made: Path) -> None:
    from likeness.weights.catalogue import entries

    entry = next(one for one in entries() if one.restores and one.sha256 and not one.default)
    how = rewritten(made, method=entry.method, weights_sha256=entry.sha256, options="{}")
    assert read_provenance(how).apply(pipeline.Settings()).weights == entry.name
    own = pipeline.Settings(method=entry.method, weights="mine.pth")
    assert read_provenance(how).apply(own).weights == "mine.pth"


def test_another_version_and_another_photo_are_notes(
    command: Command, photo: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "__version__", "9.9")
    other = tmp_path / "other.png"
    other.write_bytes(scenes.encoded(picture(5), "PNG"))
    ended = restore(command, "--like", made, photo, other, "-o", tmp_path / "out")
    assert [("9.9" in line, "another sha256" in line) for line in ended.lines] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert str(other) in ended.lines[1]
    assert said(tmp_path / "out" / "other.png")["seed"] == "4"


def test_restored_twice_says_both(command: Command, made: Path, tmp_path: Path) -> None:
    restore(command, made, "-o", tmp_path / "twice", "--method", "pattern", "--aligned")
    twice = tmp_path / "twice" / "erna.png"
    entries = read_statements(read_photo(twice), NAMESPACE, PROPERTY)
    assert [entry["seed"] for entry in entries] == ["4", "0"]
    assert entries[1]["input_sha256"] == sha256(made)
    ended = restore(command, "--like", twice, made, "-o", tmp_path / "again")
    assert "2 times" in ended.lines[0]
    assert (tmp_path / "again" / "erna.png").read_bytes() == twice.read_bytes()


def test_samples_say_their_own_seed_and_a_mean_cannot_be_asked_for(
    command: Command, photo: Path, tmp_path: Path, pattern: str
) -> None:
    out = tmp_path / "out"
    restore(command, photo, "-o", out, "--method", pattern, "--aligned", "--seed", 4, "--samples", 2)
    second = read_provenance(out / "erna.samples" / "face-1-sample-2.png")
    assert second.settings["seed"] == 5
    with pytest.raises(ProvenanceError, match="mean of 2"):
        read_provenance(out / "erna.samples" / "face-1-mean.png")
    restore(command, photo, "-o", tmp_path / "two", "--like", out / "erna.png")
    assert (tmp_path / "two" / "erna.png").read_bytes() == (out / "erna.png").read_bytes()


def rewritten(made: Path, **facts: Any) -> Path:
    """The picture with other facts; None takes one away."""
    entry = {name: fact for name, fact in {**said(made), **facts}.items() if fact is not None}
    bare = Photo(read_photo(made).pixels)
    path = made.with_name("rewritten.png")
    return write_photo(provenance.stamp(bare, entry, path)[0], path)


@pytest.mark.parametrize(
    "facts",
    [
        {"method": "../../evil"},
        {"method": None},
        {"options": "[" * 100_000},
        {"options": '{"steps": "many"}'},
        {"options": "[1]"},
        {"seed": "true"},
        {"seed": "1e3"},
        {"seed": "9" * 5000},
        {"weights_sha256": "/etc/passwd"},
        {"fallback": "/tmp/x.pth"},
        {"detector": "a\u001b[31m b"},
        {"precision": "fp64"},
        {"blend": '"half"'},
        {"given": "3"},
    ],
    ids=lambda facts: " ".join(f"{name}={str(fact)[:20]!a}" for name, fact in facts.items()),
)
def test_facts_that_make_no_sense_are_one_line(
    command: Command, photo: Path, made: Path, tmp_path: Path, facts: dict[str, Any]
) -> None:
    like = rewritten(made, **{name: fact and fact.replace("\u001b", "?") for name, fact in facts.items()})
    ended = restore(command, "--like", like, photo, "-o", tmp_path / "out", status=2)
    assert len(ended.lines) == 1
    assert str(like) in ended.lines[0]
    assert len(ended.lines[0]) < 500
    assert not (tmp_path / "out").exists()


def test_values_out_of_range_are_refused(command: Command, photo: Path, made: Path, tmp_path: Path) -> None:
    for facts in ({"blend": "7"}, {"seed": "-1"}, {"detector": "eyes"}, {"options": '{"amount": 9}'}):
        like = rewritten(made, aligned="false", **facts)
        ended = restore(command, "--like", like, photo, "-o", tmp_path / "out", status=2)
        assert len(ended.lines) == 1
        assert next(iter(facts)).replace("options", "amount") in ended.lines[0]


def test_python_writes_it_too(command: Command, photo: Path, tmp_path: Path, pattern: str) -> None:
    result = likeness.restore(photo, pattern, aligned=True, seed=4, amount=0.3)
    by_python = result.save(tmp_path / "python.png")
    restore(command, photo, "--like", by_python, "-o", tmp_path / "out")
    assert (tmp_path / "out" / "erna.png").read_bytes() == by_python.read_bytes()
    off = likeness.restore(photo, pattern, aligned=True, provenance=False)
    assert read_statements(read_photo(off.save(tmp_path / "off.png")), NAMESPACE, PROPERTY) == []
    from_array = likeness.restore(picture(), pattern, aligned=True).save(tmp_path / "array.png")
    assert read_provenance(from_array).input_sha256 is None
    assert result.save(tmp_path / "x.bmp").is_file()
