"""The cache of exported graphs: damage is found, processes do not disturb each other, a kill leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import scenes
from likeness.backends.cache import RECORD, Kept, Wanted, obtain

WORKER = """
import sys
sys.path.insert(0, sys.argv[2])
from small_likeness import crops, small_restorer
from likeness.methods.serving import with_backend
restorer = with_backend(small_restorer("d" * 64), sys.argv[1], "auto", fast=True)
print(restorer.backend, restorer.restore(crops(1), seed=1).double().sum().item())
"""


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path))
    return tmp_path


class Maker:
    """Makes a file, counts how often, and says what it is told to."""

    def __init__(self, figure: float = 80.0) -> None:
        self.made, self.figure, self.said = 0, figure, list[str]()

    def obtain(self, **facts: str) -> Kept:
        """The graph "m-net" with those facts."""
        return obtain(Wanted("m-net", {"backend": "onnx", **facts}), self.make, lambda _: self.figure, self.said.append)

    def make(self, folder: Path) -> None:
        """Write the file."""
        self.made += 1
        (folder / "graph.onnx").write_bytes(b"graph" * 100)


def test_it_is_made_once_for_the_same_facts(own_home: Path) -> None:
    maker = Maker()
    kept = maker.obtain(weights="1")
    assert kept == maker.obtain(weights="1")
    assert (maker.made, kept.psnr, len(maker.said)) == (1, 80.0, 1)
    assert "m-net: exported for backend onnx in 0.0 s" in maker.said[0]
    assert maker.obtain(weights="2").folder != kept.folder
    assert maker.made == 2


@pytest.mark.parametrize("figure", [float("inf"), -float("inf"), 12.5])
def test_the_figure_is_remembered(own_home: Path, figure: float) -> None:
    maker = Maker(figure)
    assert maker.obtain().psnr == maker.obtain().psnr == figure
    assert json.loads((maker.obtain().folder / RECORD).read_text(encoding="utf-8"))["facts"] == {"backend": "onnx"}


@pytest.mark.parametrize(
    "damage", ["a bit", "cut", "no file", "no record", "record cut", "record empty", "record lies"]
)
def test_damage_is_found_and_made_good(own_home: Path, damage: str) -> None:
    maker = Maker()
    folder = maker.obtain().folder
    graph, record = folder / "graph.onnx", folder / RECORD
    data, facts = bytearray(graph.read_bytes()), record.read_text(encoding="utf-8")
    if damage == "a bit":
        data[77] ^= 1
        graph.write_bytes(data)
    elif damage == "cut":
        graph.write_bytes(data[:100])
    elif damage.startswith("no "):
        (graph if damage == "no file" else record).unlink()
    else:
        record.write_text({"record cut": facts[:50], "record empty": "[]"}.get(damage, '{"files": 3, "psnr": []}'))
    again = maker.obtain()
    assert maker.made == 2
    assert "m-net: the exported graph is damaged" in maker.said[1]
    assert "exporting it again" in maker.said[1]
    assert (again.folder / "graph.onnx").read_bytes() == b"graph" * 100
    assert maker.obtain() == again
    assert maker.made == 2


def test_what_fails_leaves_nothing_and_leftovers_go(own_home: Path) -> None:
    maker = Maker()

    def fail(folder: Path) -> None:
        maker.make(folder)
        raise RuntimeError("no")

    wanted = Wanted("m-net", {"backend": "onnx"})
    with pytest.raises(RuntimeError, match="no"):
        obtain(wanted, fail, lambda _: 80.0, maker.said.append)
    assert [path.suffix for path in wanted.folder.parent.iterdir()] == [".lock"]
    left = wanted.folder.with_name(f".{wanted.folder.name}.123-abc")  # of a process that was killed
    left.mkdir()
    maker.obtain()
    assert not left.exists()
    assert sorted(path.name for path in wanted.folder.iterdir()) == ["graph.json", "graph.onnx"]


@pytest.mark.parametrize("backend", ["openvino", pytest.param("onnx", marks=pytest.mark.slow)], indirect=True)
def test_two_processes_export_at_once(own_home: Path, backend: str) -> None:
    command = [sys.executable, "-c", WORKER, backend, str(Path(__file__).parent)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=scenes.environment())
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert ended[0][0] == ended[1][0]
    assert ended[0][0].startswith(backend)
    assert sum(err.count("exported for backend") for _, err in ended) == 2  # denoiser and sharpener, once each
    folders = [path for path in (own_home / "graphs").iterdir() if path.is_dir()]
    assert len(folders) == 2
    assert all((folder / RECORD).is_file() for folder in folders)
