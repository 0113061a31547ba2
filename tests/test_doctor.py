"""``likeness doctor``: what it says, and that it notices damaged weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import scenes
from likeness import doctor
from likeness.weights import builtin

Command = Callable[..., scenes.Ended]


def test_it_proves_that_the_built_in_model_works(command: Command) -> None:
    ended = command("doctor")
    assert ended.status == 0, ended.err
    assert ended.err == ""
    assert any(f"device {name}" in ended.out for name in ("cpu", "cuda", "mps"))
    assert "dB" in ended.out
    assert "torch" in ended.out
    assert "MISSING" not in ended.out
    assert all(name in ended.out for name in doctor.EXTRAS)


@pytest.mark.parametrize("damage", ["cut", "text", "gone", "other network"])
def test_damaged_weights_are_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str
) -> None:
    copy = tmp_path / "likeness.safetensors"
    data = builtin.builtin_path("likeness").read_bytes()
    if damage == "cut":
        copy.write_bytes(data[: len(data) // 2])
    elif damage == "text":
        copy.write_text("version https://git-lfs.github.com/spec/v1\n")
    elif damage == "other network":
        import torch
        from safetensors.torch import save_file

        save_file({"weight": torch.zeros(3)}, copy)
    monkeypatch.setattr(builtin, "builtin_path", lambda name: copy)
    ended = command("doctor")
    assert ended.status == 2
    assert len(ended.lines) == 1, ended.err
    assert str(copy) in ended.lines[0]


def test_a_model_that_does_not_improve_is_reported(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "prove", lambda: doctor.Proof(-0.3, 0.1, "cpu", "float32"))
    ended = command("doctor")
    assert ended.status == 1
    assert "-0.3 dB" in ended.out
    assert len(ended.lines) == 1


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda package: None if package == "gradio" else "1.0")
    missing = {extra.name: extra.missing for extra in doctor.extras()}
    assert missing["web"] == ("gradio",)
    assert missing["scale"] == ()
    assert doctor.core_versions()["torch"] == "1.0"
