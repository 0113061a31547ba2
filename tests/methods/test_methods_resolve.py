"""What a user writes after --method and --weights, and which method and file it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from likeness.methods import OptionError
from likeness.methods.resolve import resolve
from likeness.weights.builtin import builtin_path
from likeness.weights.errors import WeightsError


@pytest.fixture(autouse=True)
def _empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "home"))


def test_nothing_said_is_the_built_in() -> None:
    assert resolve(None, None) == ("likeness", None)
    assert resolve("codeformer", None) == ("codeformer", None)


def test_a_file_goes_to_the_method_that_was_said(tmp_path: Path) -> None:
    assert resolve("gfpgan", tmp_path / "mine.pth") == ("gfpgan", tmp_path / "mine.pth")


def test_the_method_of_a_file_is_told_by_its_keys() -> None:
    path = builtin_path("likeness")
    assert resolve(None, str(path)) == ("likeness", path)


def test_names_of_the_catalogue_stand_for_their_files() -> None:
    for method, weights in (("gfpgan-1.3", None), (None, "gfpgan-1.3"), ("gfpgan", "gfpgan-1.3")):
        with pytest.raises(WeightsError, match=r"likeness models pull gfpgan-1\.3"):
            resolve(method, weights)


@pytest.mark.parametrize(
    ("method", "weights", "match"),
    [
        ("gfpgam", None, "unknown method 'gfpgam'; choose from likeness, gfpgan"),
        ("gfpgan-1.3", "other.pth", "unknown method 'gfpgan-1.3'"),
        ("codeformer", "gfpgan-1.3", "gfpgan-1.3 holds weights of gfpgan, not of codeformer"),
        (None, "realesrgan-x2plus", "restores no faces: it is a"),
        ("parsenet", None, "restores no faces: it is a"),
    ],
)
def test_what_does_not_fit_is_named(method: str | None, weights: str | None, match: str) -> None:
    with pytest.raises(OptionError, match=match):
        resolve(method, weights)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.pth"):
        resolve(None, tmp_path / "none.pth")
