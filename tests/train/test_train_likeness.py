"""The built-in model's two objectives as a user tries them: the smoke recipes, one after the other."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("accelerate", reason="needs likeness[train]")

import scenes
from likeness.train.checkpoint import LAST
from likeness.train.recipe import load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
LOSS = {"denoise": "l1", "sharpen": "texture"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_smoke_recipes_learn_and_their_checkpoints_restore(faces: dict[str, np.ndarray], tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    for file, image in faces.items():
        Image.fromarray(image).save(tmp_path / "faces" / file)
    for name, loss in LOSS.items():
        recipe = RECIPES / f"smoke-{name}.yaml"
        assert load_recipe(recipe).output == Path("runs") / f"smoke-{name}"
        trained = scenes.likeness("train", recipe, "data=faces", cwd=tmp_path)  # the second begins with the first
        assert trained.status == 0, trained.err[-2000:]
        run = tmp_path / "runs" / f"smoke-{name}"
        log = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        assert mean(entry[loss] for entry in log[-3:]) < 0.85 * mean(entry[loss] for entry in log[:2]), name
        restored = scenes.likeness(
            "restore", "faces/a_head.png", "-o", name, "--aligned", "--weights", run / LAST, cwd=tmp_path
        )
        assert restored.status == 0, restored.err[-2000:]
        assert Image.open(tmp_path / name / "a_head.png").size == (512, 512)
