"""benchmarks/generation_benefit.py runs and says what its figures are worth."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import scenes

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "generation_benefit.py"
PICTURES = 10


@pytest.fixture(scope="module")
def generation_benefit() -> Any:
    """The script as a module; benchmarks is no package."""
    spec = spec_from_file_location("generation_benefit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_generator_learns_its_pictures_and_the_same_seed_gives_the_same(generation_benefit: Any) -> None:
    red = torch.full((8, 3, 16, 16), -0.8)
    red[:, 0] = 0.6
    net = generation_benefit.train(red, 40, seed=1)
    made = generation_benefit.generate(net, 4, 16, seed=1)
    assert made.shape == (4, 3, 16, 16)
    mean = made.mean(dim=(0, 2, 3))  # 0.8, 0.1, 0.1 in the end; 0.5 each before training
    assert mean[0] > 0.6
    assert mean[1:].max() < 0.4
    assert torch.allclose(generation_benefit.generate(net, 2, 16, seed=1), made[:2], atol=1e-4)  # its noise is its own
    assert not torch.equal(made, generation_benefit.generate(net, 4, 16, seed=2))
    one, two, other = (generation_benefit.train(red, 2, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_the_clean_set_is_at_no_distance_and_a_dark_one_is_far(generation_benefit: Any) -> None:
    clean = torch.rand(10, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    spaces = generation_benefit.feature_spaces(clean)
    truth = {name: space(clean) for name, space in spaces.items()}
    same = generation_benefit.compare(clean, spaces, truth)
    dark = generation_benefit.compare(clean * 0.2, spaces, truth)
    assert len(spaces) >= 2
    for name in spaces:
        assert same[name][0] == pytest.approx(0, abs=1e-6)
        assert same[name][1:] == (1, 1)
        assert dark[name][0] > 0.01
        assert dark[name][2] < 1


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [
        ((-0.3, -0.2, -0.1), "better"),
        ((0.3, 0.2, 0.1), "worse"),
        ((-0.3, 0.2, 0.1), "undecided"),
        ((-0.3,), "undecided"),
    ],
)
def test_the_finding_needs_all_seeds(shift: tuple[float, ...], verdict: str, generation_benefit: Any) -> None:
    plain = [{"space": (1.0, 0.5, 0.5)} for _ in shift]
    other = [{"space": (1.0 + d, 0.5 - d, 0.5)} for d in shift]
    made = {generation_benefit.AS_IT_IS: plain, generation_benefit.REFINED: other}
    text, finding = generation_benefit.differences({"space": lambda x: x}, made)
    assert text.count(f"| {verdict} |") >= 2  # a shorter distance and a higher precision agree
    assert f"{verdict} in Fréchet distance (space), precision (space)" in finding


@pytest.mark.slow
def test_quick_prints_the_table_and_the_finding(tmp_path: Path) -> None:
    face = np.rint(scenes.aligned_face() * 255).astype(np.uint8)
    (tmp_path / "faces").mkdir()
    for number in range(PICTURES):
        shaded = np.rint(np.roll(face, 5 * number, axis=1) * (0.6 + 0.04 * number)).astype(np.uint8)
        Image.fromarray(shaded).save(tmp_path / "faces" / f"{number}.png")
    command = [sys.executable, str(SCRIPT), "--faces", str(tmp_path / "faces"), "--beginning", "", "--quick"]
    done = subprocess.run(
        [*command, "--sheet", str(tmp_path / "sheet.png")],
        capture_output=True,
        env=scenes.environment(),
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for words in (
        "10 faces degraded by `idm`",
        "| the set itself: degraded, then refined |",
        "| generated from: clean |",
        "| pixels (10 components) | recall |",
        "Training on the refined set rather than the degraded one: ",
        "What this does not show: ",
        "--quick: these figures mean nothing.",
    ):
        assert words in done.stdout
    assert Image.open(tmp_path / "sheet.png").size == (10 * 32 * 3, 6 * 32 * 3)
