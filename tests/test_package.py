"""The wheel and the source archive, built, installed in a clean environment, and used there."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

import scenes

ROOT = Path(__file__).parents[1]


def run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_built_installed_and_used(tmp_path: Path) -> None:
    """With nothing of the sources in sight."""
    run(sys.executable, "-m", "venv", tmp_path / "build")
    run(tmp_path / "build/bin/python", "-m", "pip", "install", "--quiet", "build")
    run(tmp_path / "build/bin/python", "-m", "build", "--outdir", tmp_path / "dist", ROOT)
    wheel, archive = next((tmp_path / "dist").glob("*.whl")), next((tmp_path / "dist").glob("*.tar.gz"))
    inside = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "src/likeness").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(ROOT / "src").as_posix() in inside
    assert {f"likeness/recipes/{path.name}" for path in (ROOT / "recipes").iterdir()} <= inside
    assert not [name for name in inside if name.startswith(("tests", "benchmarks", "docs"))]
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "Makefile", "tests/scenes.py", "examples/demo.py"} <= names
    assert not [name for name in names if name.startswith((".venv", "runs/", "demo-out", "site/"))]

    run(sys.executable, "-m", "venv", tmp_path / "clean")
    python = tmp_path / "clean/bin/python"
    run(python, "-m", "pip", "install", "--quiet", f"{wheel}[demo]")
    photo = cv2.GaussianBlur(scenes.portrait(512), (0, 0), 3)
    (tmp_path / "photo.png").write_bytes(scenes.encoded(np.ascontiguousarray(photo), "PNG"))
    run(tmp_path / "clean/bin/likeness", "restore", "photo.png", "-o", "out", cwd=tmp_path)
    assert scenes.read_report(tmp_path / "out")["summary"]["faces"]["restored"] == 1
    assert not np.array_equal(scenes.load_pixels(tmp_path / "out/photo.png"), photo)
    run(python, ROOT / "examples/demo.py", "--out", tmp_path / "demo", cwd=tmp_path)
    assert list((tmp_path / "demo").iterdir())
