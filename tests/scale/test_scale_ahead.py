"""``--ray`` of measure and dataset refine: two real workers, the plain run's files and figures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import scenes
from likeness.measure.cache import Cache
from likeness.pipeline import Settings
from likeness.scale.ahead import Do, work_ahead
from likeness.scale.cluster import Pool, ScaleError
from likeness.scale.measure import measure_on_cluster
from likeness.scale.refine import refine_on_cluster
from likeness.study.folder import measure_folder
from likeness.train.refine import refine

pytestmark = pytest.mark.usefixtures("cluster")

TWO = Pool(workers=2)
QUICK = Settings(method="quick", aligned=True, identity_limit=9.0)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine aligned faces, no two the same, and a broken one."""
    folder = tmp_path_factory.mktemp("faces") / "in"
    folder.mkdir()
    face = np.rint(scenes.aligned_face() * 255).astype(np.uint8)
    for number in range(9):
        shaded = np.rint(face * (0.5 + 0.05 * number)).clip(0, 255).astype(np.uint8)
        (folder / f"face-{number}.png").write_bytes(scenes.encoded(shaded, "PNG"))
    (folder / "broken.png").write_bytes(scenes.encoded(face, "PNG")[:5000])
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_refine_makes_the_plain_runs_files(faces: Path, tmp_path: Path) -> None:
    plain = refine([str(faces)], tmp_path / "plain", QUICK)
    seen: list[tuple[int, int]] = []
    done = refine_on_cluster(
        [str(faces)], tmp_path / "ray", QUICK, pool=TWO, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (10, 10)
    assert done == plain
    assert (done["counts"]["refined"], done["counts"]["failed"]) == (9, 1)
    assert files(tmp_path / "ray") == files(tmp_path / "plain")


def test_a_worker_that_would_compute_in_another_way_is_refused(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likeness.train.refine.__version__", "another")  # here, not in the workers
    with pytest.raises(ScaleError, match="does not compute as this machine does"):
        refine_on_cluster([str(faces)], tmp_path / "ray", QUICK, pool=TWO)


def test_measure_gives_the_plain_runs_values_and_keeps_them(faces: Path, tmp_path: Path) -> None:
    truth, metrics = tmp_path / "truth", ("psnr", "identity-distance", "niqe-faces")
    truth.mkdir()
    for path in faces.glob("face-*.png"):
        (truth / path.name).write_bytes((faces / "face-8.png").read_bytes())
    (truth / "broken.png").write_bytes((faces / "face-8.png").read_bytes())
    plain = measure_folder(faces, metrics, truth=truth, aligned=True, cache=tmp_path / "plain.sqlite")
    cache = tmp_path / "ray.sqlite"
    done = measure_on_cluster(faces, metrics, truth=truth, aligned=True, cache=cache, pool=TWO)
    assert [(row.name, row.values, row.problems) for row in done.rows] == [
        (row.name, row.values, row.problems) for row in plain.rows
    ]
    assert len(done.problems) == len(plain.problems) >= 1  # the broken one is told of
    assert done.scores["psnr"].estimate == plain.scores["psnr"].estimate
    with Cache(cache) as ours, Cache(tmp_path / "plain.sqlite") as theirs:
        keys = [key for (key,) in theirs._database.execute("SELECT key FROM vectors")]
        found, wanted = ours.get(keys), theirs.get(keys)
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[key], wanted[key]) for key in keys)


@dataclass(frozen=True)
class Wrong:
    """Work that cannot be begun."""

    def open(self) -> Do:
        raise ValueError("weights that are not here")


def test_what_is_wrong_in_a_worker_is_one_line() -> None:
    with pytest.raises(ScaleError, match=r"^weights that are not here$"):
        work_ahead(Wrong(), 4, lambda answer: None, pool=TWO)


@pytest.mark.slow
def test_by_the_command(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from typer.testing import CliRunner

    from likeness.cli import app

    said = CliRunner().invoke(app, ["measure", str(faces), "--workers", "2", "--metrics", "niqe-faces"])
    assert said.exit_code == 2
    arguments = ["measure", str(faces), "--aligned", "--metrics", "niqe-faces", "--ray", "local", "--workers", "2"]
    said = CliRunner().invoke(app, [*arguments, "--json"])
    assert said.exit_code == 1  # the broken one
    assert json.loads(said.stdout)["metrics"]
